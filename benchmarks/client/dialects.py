"""How to speak to each server under test: paths, handshakes and messages. Pure.

All of them do the same work: a token checked at the door, a room joined, one JSON message in, one JSON
message with sender and timestamp out to every member. (Nchan does less: it checks no token and hands on the
bytes as they came.)
"""

import json
from typing import Protocol

import jwt

from benchmarks.client.frames import text_frame


class Dialect(Protocol):
    """What the load client needs to know of a server."""

    joined: bytes
    """Bytes that the server sends once the client is a member; empty: being connected is enough."""

    def ws_path(self, room: str, token: str) -> str:
        """Path and query of the WebSocket handshake."""
        ...

    def sse_path(self, room: str, token: str) -> str:
        """Path and query of an event stream of `room`."""
        ...

    def greeting(self) -> tuple[bytes, bytes]:
        """What to send after the handshake and the bytes to wait for; empty: nothing."""
        ...

    def join(self, room: str) -> bytes:
        """The frame that joins `room`; empty where being connected is enough."""
        ...

    def publish(self, room: str, content: str, message_id: str) -> bytes:
        """The frame that publishes `content` in `room`."""
        ...


def envelope(kind: str, room: str, content: str | None = None, message_id: str = "") -> str:
    """A message of the project's protocol, which the plain peers speak too."""
    data = {"room": room} if content is None else {"room": room, "content": content}
    message: dict[str, object] = {"type": kind, "data": data}
    if message_id:
        message["id"] = message_id
    return json.dumps(message, separators=(",", ":"))


class PlainChat:
    """The plain peers: `ws`, Bun and the naive server."""

    joined = b'"room_joined"'

    def ws_path(self, room: str, token: str) -> str:
        """The peers have one WebSocket path; rooms are joined by message."""
        del room
        return f"/ws?token={token}"

    def sse_path(self, room: str, token: str) -> str:
        """The naive server's streams take the room as a parameter."""
        return f"/sse?room={room}&token={token}"

    def greeting(self) -> tuple[bytes, bytes]:
        """Nothing comes before joining."""
        return b"", b""

    def join(self, room: str) -> bytes:
        """``join_room``."""
        return text_frame(envelope("join_room", room))

    def publish(self, room: str, content: str, message_id: str) -> bytes:
        """``chat_message``; the plain peers keep nothing, so they need no id."""
        del message_id
        return text_frame(envelope("chat_message", room, content))


class Rtcli(PlainChat):
    """This project's server. With ids, every publish is idempotent and acknowledged to its sender."""

    def __init__(self, *, ids: bool) -> None:
        self.ids = ids

    def ws_path(self, room: str, token: str) -> str:
        """`/api/v1/ws` of the protocol, section 3."""
        del room
        return f"/api/v1/ws?events=0&token={token}"

    def sse_path(self, room: str, token: str) -> str:
        """`/api/v1/events/stream` of the protocol, section 4."""
        return f"/api/v1/events/stream?room={room}&token={token}"

    def publish(self, room: str, content: str, message_id: str) -> bytes:
        """``chat_message``, with an id where acknowledgements are asked for."""
        return text_frame(envelope("chat_message", room, content, message_id if self.ids else ""))


class SocketIO:
    """Socket.IO 4: Engine.IO 4 packets in text frames, WebSocket transport from the start."""

    joined = b'42["room_joined"'

    def ws_path(self, room: str, token: str) -> str:
        """The Engine.IO handshake path."""
        del room
        return f"/socket.io/?EIO=4&transport=websocket&token={token}"

    def sse_path(self, room: str, token: str) -> str:
        """Socket.IO has no event streams."""
        raise ValueError(f"Socket.IO has no event streams: {room}, {len(token)}")

    def greeting(self) -> tuple[bytes, bytes]:
        """Connect to the main namespace; the answer carries the session id."""
        return text_frame("40"), b'40{"sid"'

    def join(self, room: str) -> bytes:
        """An event named ``join_room``."""
        return text_frame("42" + json.dumps(["join_room", {"room": room}]))

    def publish(self, room: str, content: str, message_id: str) -> bytes:
        """An event named ``chat_message``."""
        del message_id
        return text_frame("42" + json.dumps(["chat_message", {"room": room, "content": content}]))


class Nchan:
    """Nchan: a channel is a path; it forwards what comes in, so the client sends the finished message."""

    joined = b""

    def ws_path(self, room: str, token: str) -> str:
        """Publish and subscribe on one socket; no token is checked."""
        del token
        return f"/ws/{room}"

    def sse_path(self, room: str, token: str) -> str:
        """An event stream of the same channel."""
        del token
        return f"/sse/{room}"

    def greeting(self) -> tuple[bytes, bytes]:
        """Nothing comes before joining."""
        return b"", b""

    def join(self, room: str) -> bytes:
        """Being connected to the channel's path is being a member."""
        del room
        return b""

    def publish(self, room: str, content: str, message_id: str) -> bytes:
        """What members get: Nchan adds neither sender nor time, so the client puts both in."""
        del message_id
        sender = {"sender_id": 1, "sender_name": "user-1", "timestamp": "2026-01-01T00:00:00.000Z"}
        text = json.dumps({"type": "new_message", "data": {"room": room, "content": content, **sender}})
        return text_frame(text)


DIALECTS: dict[str, Dialect] = {
    "plain": PlainChat(),
    "rtcli": Rtcli(ids=False),
    "rtcli-ids": Rtcli(ids=True),
    "socketio": SocketIO(),
    "nchan": Nchan(),
}


def token_for(secret: str, number: int, now_s: float) -> str:
    """A token of user `number`, valid for an hour from `now_s` (unix seconds)."""
    claims = {"sub": str(number), "name": f"user-{number}", "exp": int(now_s) + 3600}
    return jwt.encode(claims, secret, algorithm="HS256")
