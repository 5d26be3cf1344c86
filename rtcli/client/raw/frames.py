"""The frames of a WebSocket, both ways, and the messages that they make (RFC 6455, section 5). Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum

MAX_FRAGMENTS = 4096


class Direction(StrEnum):
    """Who sent it: the server (in) or we (out)."""

    IN = "in"
    OUT = "out"


class Kind(StrEnum):
    """What a frame is, by its opcode."""

    CONTINUATION = "continuation"
    TEXT = "text"
    BINARY = "binary"
    CLOSE = "close"
    PING = "ping"
    PONG = "pong"


KINDS = {0: Kind.CONTINUATION, 1: Kind.TEXT, 2: Kind.BINARY, 8: Kind.CLOSE, 9: Kind.PING, 10: Kind.PONG}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, its payload unmasked. `final` is False when the message goes on in the next frame."""

    direction: Direction
    kind: Kind
    payload: bytes
    final: bool = True


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message, or a control frame."""

    direction: Direction
    kind: Kind  # never CONTINUATION
    payload: bytes
    fragments: int = 1

    @property
    def is_data(self) -> bool:
        """Whether it is a text or a binary message, and no control frame."""
        return self.kind in {Kind.TEXT, Kind.BINARY}

    @property
    def text(self) -> str | None:
        """The payload as text; None if it is not UTF-8."""
        try:
            return self.payload.decode()
        except UnicodeDecodeError:
            return None


class InvalidMessageError(Exception):
    """The server sent what is no message; `code` is what the connection is closed with."""

    def __init__(self, code: int, problem: str) -> None:
        super().__init__(problem)
        self.code = code


class Assembler:
    """Makes messages of the frames of one connection, in order. Their size is limited by who reads them."""

    def __init__(self) -> None:
        self._kind = Kind.TEXT
        self._parts: list[bytes] = []

    def feed(self, frame: Frame) -> Message | None:
        """Take a frame; return the message that it ends. Raises InvalidMessageError."""
        if frame.kind in {Kind.PING, Kind.PONG, Kind.CLOSE} or frame.direction is Direction.OUT:
            return Message(frame.direction, frame.kind, frame.payload)
        if frame.kind is not Kind.CONTINUATION:
            self._kind, self._parts = frame.kind, []
        if len(self._parts) >= MAX_FRAGMENTS:
            raise InvalidMessageError(1009, f"a message in more than {MAX_FRAGMENTS} fragments")
        self._parts.append(frame.payload)
        if not frame.final:
            return None
        parts, self._parts = self._parts, []
        message = Message(Direction.IN, self._kind, b"".join(parts), len(parts))
        if message.kind is Kind.TEXT and message.text is None:
            raise InvalidMessageError(1007, "a text that is not UTF-8")
        return message


def read_close(payload: bytes) -> tuple[int, str]:
    """The code and the reason in a close frame; 1005 stands for none (RFC 6455, section 7.1.5)."""
    if len(payload) < 2:
        return 1005, ""
    (code,) = struct.unpack("!H", payload[:2])
    return code, payload[2:].decode("utf-8", "replace")
