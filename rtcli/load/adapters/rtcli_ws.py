"""Our own protocol over WebSocket (docs/protocol.md, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from typing_extensions import override

from rtcli.client.endpoint import Endpoint
from rtcli.load.adapters.interface import (
    OTHER,
    Acked,
    ChannelEvent,
    ChannelStart,
    Closing,
    Data,
    Event,
    Gap,
    Hello,
    Joined,
    Left,
    Opening,
    Refused,
    Reply,
    WsAdapter,
    read_position,
    unreadable,
)
from rtcli.protocol import messages
from rtcli.protocol.paths import WEBSOCKET_PATH, websocket_address
from rtcli.protocol.position import EVENT_KEYS, Position, event_key

_IGNORED = b'{"type":"user_'


class RtcliWs(WsAdapter):
    """The adapter. The token goes into the Authorization header."""

    transport: Literal["ws"] = "ws"
    greets = True
    acks = True
    resumes = True
    confirms = True
    confirms_leaves = True
    subprotocols: tuple[str, ...] = ()

    @override
    def url(self, endpoint: Endpoint, opening: Opening) -> str:
        address = endpoint.ws_url(opening.path or WEBSOCKET_PATH)
        return websocket_address(address, events=opening.events, cursor=opening.last_event_id)

    @override
    def headers(self, opening: Opening) -> list[tuple[str, str]]:
        own = [("Authorization", f"Bearer {opening.token}")] if opening.token else []
        return [*own, *opening.headers.items()]

    @override
    def hello(self, user: Mapping[str, object]) -> list[bytes]:
        return []

    @override
    def join(
        self,
        room: str,
        since: Position | None,
        history: int,
        request_id: str,
        user: Mapping[str, object],
    ) -> bytes:
        text = None if since is None else str(since)
        return messages.encode(messages.JoinRoom(messages.JoinData(room, text, history), request_id))

    @override
    def leave(self, room: str, request_id: str, user: Mapping[str, object]) -> bytes:
        return messages.encode(messages.LeaveRoom(messages.RoomData(room), request_id))

    @override
    def send(
        self,
        room: str,
        text: str,
        request_id: str,
        user: Mapping[str, object],
    ) -> bytes:
        return messages.encode(messages.ChatMessage(messages.ChatData(room, text), request_id or None))

    @override
    def typing(self, room: str, *, is_typing: bool) -> bytes:
        return messages.encode(messages.Typing(messages.TypingData(room, is_typing)))

    @override
    def parse(self, frame: bytes) -> Event:
        if frame.startswith(_IGNORED):
            return OTHER
        try:
            return _event(messages.decode_server(frame))
        except messages.MessageError:
            return unreadable(frame, messages.describe_unreadable(frame))


def _acked(message: messages.Ack) -> Event:
    data = message.data
    return OTHER if message.id is None else Acked(message.id, Position(data.epoch, data.offset))


def _skipped(message: messages.Skipped) -> Event:
    """What is not for this user is no delivery; of rooms, the audit looks for what its own users sent."""
    data = message.data
    return ChannelEvent(data.room, Position(data.epoch, data.offset)) if data.room.startswith("~") else OTHER


def _starts(data: messages.ConnectedData) -> list[ChannelStart]:
    return [
        ChannelStart(channel, read_position(state.position), state.recovered)
        for channel, state in (data.channels or {}).items()
        if channel in EVENT_KEYS
    ]


_READERS: Mapping[type, Callable[[Any], Event]] = {
    messages.NewMessage: lambda it: Data(
        it.data.room, Position(it.data.epoch, it.data.offset), it.data.content
    ),
    messages.Ack: _acked,
    messages.Error: lambda it: Refused(it.id, it.data.code),
    messages.RoomJoined: lambda it: Joined(it.data.room, read_position(it.data.position), it.data.recovered),
    messages.RoomLeft: lambda it: Left(it.data.room),
    messages.Gap: lambda it: Gap(
        it.data.room, read_position(it.data.from_), read_position(it.data.to), it.data.lost
    ),
    messages.Connected: lambda it: Hello(it.data.connection_id, _starts(it.data)),
    messages.Event: lambda it: ChannelEvent(
        event_key(it.data.channel), Position(it.data.epoch, it.data.offset)
    ),
    messages.Skipped: _skipped,
    messages.ServerPing: lambda _: Reply(b'{"type":"pong"}'),
    messages.Closing: lambda it: Closing(it.data.retry_after_ms / 1000),
}


def _event(message: messages.ServerMessage) -> Event:
    reader = _READERS.get(type(message))
    return OTHER if reader is None else reader(message)
