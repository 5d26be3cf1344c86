"""STOMP 1.2 over WebSocket for `rtcli loadtest`: a room is the destination `/topic/NAME`.

Everything that is asked for carries a receipt. Its id says what it confirms, so nothing has to be remembered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from rtcli.load.adapters import (
    OTHER,
    Acked,
    Data,
    Endpoint,
    Event,
    Hello,
    Joined,
    Left,
    Opening,
    Position,
    Refused,
    Target,
    WsAdapter,
)

TOPIC = "/topic/"
_ESCAPES = {"\\": r"\\", "\n": r"\n", "\r": r"\r", ":": r"\c"}
_PLAIN = {escaped: plain for plain, escaped in _ESCAPES.items()}


class Stomp(WsAdapter):
    """The adapter."""

    transport: Literal["ws"] = "ws"
    greets = True  # CONNECTED answers CONNECT
    acks = True
    resumes = False  # a topic keeps nothing for who is away
    confirms = True
    confirms_leaves = True
    subprotocols = ("v12.stomp",)

    def __init__(self, target: Target) -> None:
        """There is nothing to configure: path and headers of the target come with each opening."""

    def url(self, endpoint: Endpoint, opening: Opening) -> str:
        """Where RabbitMQ and Spring have it, unless the scenario says otherwise."""
        return endpoint.ws_url(opening.path or endpoint.path or "/ws")

    def headers(self, opening: Opening) -> list[tuple[str, str]]:
        """The token, and what the scenario adds."""
        own = [("Authorization", f"Bearer {opening.token}")] if opening.token else []
        return [*own, *opening.headers.items()]

    def hello(self, user: Mapping[str, object]) -> list[bytes]:
        """Open the session."""
        return [_frame("CONNECT", {"accept-version": "1.2", "host": "/", "heart-beat": "0,0"})]

    def join(
        self, room: str, since: Position | None, history: int, request_id: str, user: Mapping[str, object]
    ) -> bytes:
        """Subscribe. The subscription has the room's name, so all members get the same bytes."""
        fields = {"id": room, "destination": TOPIC + room, "receipt": f"join {request_id} {room}"}
        return _frame("SUBSCRIBE", fields)

    def leave(self, room: str, request_id: str, user: Mapping[str, object]) -> bytes:
        """Unsubscribe."""
        return _frame("UNSUBSCRIBE", {"id": room, "receipt": f"leave {request_id} {room}"})

    def send(self, room: str, text: str, request_id: str, user: Mapping[str, object]) -> bytes:
        """Publish; without an id nobody waits for the receipt."""
        fields = {"destination": TOPIC + room, "content-type": "text/plain"}
        return _frame("SEND", {**fields, "receipt": f"send {request_id}"} if request_id else fields, text)

    def typing(self, room: str, *, is_typing: bool) -> bytes | None:
        """STOMP has no word for it."""
        return None

    def parse(self, frame: bytes) -> Event:
        """What a frame means."""
        head, _, _ = frame.decode("utf-8", "replace").lstrip("\r\n").replace("\r\n", "\n").partition("\n\n")
        command, _, rest = head.partition("\n")
        fields: dict[str, str] = {}
        for line in rest.split("\n"):
            name, _, value = line.partition(":")
            fields.setdefault(_unescape(name), _unescape(value))  # of several, the first counts
        return _event(command, fields)


def _event(command: str, fields: Mapping[str, str]) -> Event:
    if command == "MESSAGE":
        return Data(fields.get("destination", "").removeprefix(TOPIC), None)
    if command == "CONNECTED":
        return Hello(fields.get("session", ""))
    what, id_, room = (*fields.get("receipt-id", "").split(" ", 2), "", "", "")[:3]
    if command == "ERROR":
        return Refused(id_ or None, fields.get("message", "error"))
    if command != "RECEIPT":
        return OTHER
    if what == "send":
        return Acked(id_, None)
    return Joined(room, None, None) if what == "join" else Left(room)


def _frame(command: str, fields: Mapping[str, str], body: str = "") -> bytes:
    escaped = command != "CONNECT"  # which is as it was in STOMP 1.0
    lines = [f"{name}:{_escape(value) if escaped else value}" for name, value in fields.items()]
    return "\n".join([command, *lines, "", f"{body}\0"]).encode()


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def _unescape(text: str) -> str:
    return re.sub(r"\\[nrc\\]", lambda found: _PLAIN[found[0]], text)
