"""Our own protocol over WebSocket (docs/protocol.md, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from rtcli.client.endpoint import Endpoint
from rtcli.load.adapters import base
from rtcli.protocol import messages
from rtcli.protocol.paths import WEBSOCKET_PATH
from rtcli.protocol.position import Position

_IGNORED = (b'{"type":"user_', b'{"type":"event"')


class RtcliWs:
    """The adapter. It carries the token in the Authorization header."""

    transport: Literal["ws"] = "ws"
    greets = True
    acks = True
    resumes = True
    confirms = True
    confirms_leaves = True
    subprotocols: tuple[str, ...] = ()

    def url(self, endpoint: Endpoint, opening: base.Opening) -> str:
        """See WsAdapter."""
        path = opening.path or WEBSOCKET_PATH
        if opening.events:
            path += "&events=1" if "?" in path else "?events=1"
        return endpoint.ws_url(path)

    def headers(self, opening: base.Opening) -> list[tuple[str, str]]:
        """See WsAdapter."""
        own = [("Authorization", f"Bearer {opening.token}")] if opening.token else []
        return [*own, *opening.headers.items()]

    def hello(self, user: Mapping[str, object]) -> list[bytes]:  # noqa: ARG002 - nothing to say
        """See WsAdapter."""
        return []

    def join(
        self,
        room: str,
        since: Position | None,
        history: int,
        request_id: str,
        user: Mapping[str, object],  # noqa: ARG002 - the token says who it is
    ) -> bytes:
        """See WsAdapter."""
        text = None if since is None else f"{since.epoch}-{since.offset}"
        return messages.encode(messages.JoinRoom(messages.JoinData(room, text, history), request_id))

    def leave(self, room: str, request_id: str, user: Mapping[str, object]) -> bytes:  # noqa: ARG002
        """See WsAdapter."""
        return messages.encode(messages.LeaveRoom(messages.RoomData(room), request_id))

    def send(
        self,
        room: str,
        text: str,
        request_id: str,
        user: Mapping[str, object],  # noqa: ARG002
    ) -> bytes:
        """See WsAdapter."""
        return messages.encode(messages.ChatMessage(messages.ChatData(room, text), request_id or None))

    def typing(self, room: str, *, is_typing: bool) -> bytes:
        """See WsAdapter."""
        return messages.encode(messages.Typing(messages.TypingData(room, is_typing)))

    def parse(self, frame: bytes) -> base.Event:
        """See WsAdapter."""
        if frame.startswith(_IGNORED):
            return base.OTHER
        try:
            return _event(messages.decode_server(frame))
        except messages.MessageError:
            return base.OTHER


def _acked(message: messages.Ack) -> base.Event:
    data = message.data
    return base.OTHER if message.id is None else base.Acked(message.id, Position(data.epoch, data.offset))


_READERS: Mapping[type, Callable[[Any], base.Event]] = {
    messages.NewMessage: lambda it: base.Data(it.data.room, Position(it.data.epoch, it.data.offset)),
    messages.Ack: _acked,
    messages.Error: lambda it: base.Refused(it.id, it.data.code),
    messages.RoomJoined: lambda it: base.Joined(
        it.data.room, base.read_position(it.data.position), it.data.recovered
    ),
    messages.RoomLeft: lambda it: base.Left(it.data.room),
    messages.Gap: lambda it: base.GapTold(
        it.data.room, base.read_position(it.data.from_), base.read_position(it.data.to), it.data.lost
    ),
    messages.Connected: lambda it: base.Hello(it.data.connection_id),
    messages.ServerPing: lambda _: base.Answer(b'{"type":"pong"}'),
    messages.Closing: lambda it: base.Closing(it.data.retry_after_ms / 1000),
}


def _event(message: messages.ServerMessage) -> base.Event:
    reader = _READERS.get(type(message))
    return base.OTHER if reader is None else reader(message)
