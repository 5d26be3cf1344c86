"""What fan-out hands to a connection: one batch per wire format, encoded once for everyone.

Server frames are not masked (RFC 6455, section 5.1: "A server MUST NOT mask any frames"), so a frame is
the same bytes for every receiver, and the frames of one loop turn are joined into one write.

A stream's event id is its whole cursor, which differs between streams: an `EventBatch` keeps the parts
between which each stream puts the rest of its own cursor, so that encoding once still works.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

from rtcli.protocol.codes import GapReason
from rtcli.protocol.messages import Gap, GapData, SkippedData, encode
from rtcli.protocol.messages import Skipped as SkippedMessage
from rtcli.protocol.position import ROOM_PREFIX, Position, cursor_key
from rtcli.protocol.publication import SKIPPED, Publication, encode_timestamp, sse_parts, ws_message
from rtcli.protocol.sse import encode_event

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
MAX_REASON_BYTES = 123  # a control frame holds 125 bytes, and a close frame begins with the code

_FIN = 0x80
_HEADER_16 = struct.Struct("!BBH")
_HEADER_64 = struct.Struct("!BBQ")
_SHORT_TEXT = [bytes((_FIN | TEXT, size)) for size in range(126)]


def header(size: int, opcode: int = TEXT) -> bytes:
    """The header of an unmasked, final frame with a payload of `size` bytes (RFC 6455, section 5.2)."""
    if size < 126:
        return _SHORT_TEXT[size] if opcode == TEXT else bytes((_FIN | opcode, size))
    if size < 65_536:
        return _HEADER_16.pack(_FIN | opcode, 126, size)
    return _HEADER_64.pack(_FIN | opcode, 127, size)


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One whole unmasked, final frame."""
    return header(len(payload), opcode) + payload


def cut_reason(reason: str) -> str:
    """Cut a close reason to what a close frame holds (section 5.5), never within a character."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


class Format(IntEnum):
    """The wire formats; also the index of `Channel.groups`."""

    FRAMES = 0  # RFC 6455 frames, joined
    TEXTS = 1  # JSON texts, for a server that makes the frames itself
    EVENTS = 2  # an event stream


class Announcement:
    """An ephemeral event as JSON text, and the subscriptions that do not get it."""

    __slots__ = ("exclude", "text")

    def __init__(self, text: bytes, exclude: Sequence[Any] = ()) -> None:
        self.text = text
        self.exclude = exclude


class Skipped:
    """Tells one subscriber where a publication is that is not for it."""

    __slots__ = ("channel", "epoch", "event", "offset", "text")

    def __init__(self, publication: Publication) -> None:
        epoch, offset = publication.position
        data = SkippedData(room=_shown(publication.channel), offset=offset, epoch=epoch)
        timestamp = encode_timestamp(publication.time_ms).decode()
        self.channel = publication.channel
        self.epoch = epoch
        self.offset = offset
        self.text = encode(SkippedMessage(data=data, timestamp=timestamp))
        self.event = encode_event(event=SKIPPED, data=encode(data))

    @property
    def position(self) -> Position:
        """Where the publication is."""
        return Position(self.epoch, self.offset)


def _shown(channel: str) -> str:
    """How clients call a channel: a room by its name, others as in a cursor."""
    return channel.removeprefix(ROOM_PREFIX) if channel.startswith(ROOM_PREFIX) else cursor_key(channel)


class GapNotice:
    """Tells subscribers, in the channel's order, that the publications after `since` up to `to` are lost."""

    __slots__ = ("channel", "epoch", "event", "offset", "since", "text")

    def __init__(
        self, channel: str, since: Position, to: Position, reason: GapReason, timestamp: str
    ) -> None:
        lost = max(0, to.offset - since.offset) if since.epoch == to.epoch else None
        data = GapData(room=_shown(channel), from_=str(since), to=str(to), lost=lost, reason=reason)
        self.channel = channel
        self.since = since
        self.epoch = to.epoch
        self.offset = to.offset
        self.text = encode(Gap(data=data, timestamp=timestamp))
        self.event = encode_event(event="gap", data=encode(data))

    @property
    def position(self) -> Position:
        """The last of the lost publications: what comes next in the channel follows it."""
        return Position(self.epoch, self.offset)


Item = Publication | GapNotice | Announcement
Written = Item | Skipped  # what one subscriber alone may get


class EventBatch:
    """Events of one channel for many streams: `suffix.join(parts)` is what one stream gets.

    `suffix` is the rest of that stream's cursor: `,` and its other channels, or nothing.
    """

    __slots__ = ("_chunked", "parts", "position", "size")

    def __init__(self, parts: list[bytes], position: Position) -> None:
        self.parts = parts
        self.size = sum(map(len, parts))
        self.position = position
        self._chunked: dict[int, list[bytes]] = {}

    def join(self, suffix: bytes) -> bytes:
        """The bytes for a stream whose other channels stand at `suffix`."""
        return suffix.join(self.parts)

    def chunked(self, suffix_size: int) -> list[bytes]:
        """The parts of one chunk of an HTTP/1.1 body (RFC 9112, section 7.1) for suffixes of that size."""
        parts = self._chunked.get(suffix_size)
        if parts is None:
            size = self.size + suffix_size * (len(self.parts) - 1)
            parts = self._chunked[suffix_size] = self.parts.copy()
            parts[0] = b"%x\r\n%b" % (size, parts[0])
            parts[-1] += b"\r\n"
        return parts


Batch = bytes | tuple[str, ...] | EventBatch


def _text_of(item: Written) -> bytes:
    return ws_message(item) if isinstance(item, Publication) else item.text


def join_frames(items: Sequence[Written]) -> bytes:
    """The WebSocket frames of `items`, one after the other."""
    parts: list[bytes] = []
    for item in items:
        text = ws_message(item) if type(item) is Publication else _text_of(item)
        size = len(text)
        # Nearly every message has this length, and nothing is done more often.
        parts.append(_HEADER_16.pack(_FIN | TEXT, 126, size) if 125 < size < 65_536 else header(size))
        parts.append(text)
    return b"".join(parts)


def join_texts(items: Sequence[Written]) -> tuple[str, ...]:
    """The JSON texts of `items`."""
    return tuple([_text_of(item).decode() for item in items])


def join_events(items: Sequence[Written]) -> EventBatch | None:
    """The events of `items`; streams get no ephemeral events, so there may be none."""
    parts = [b""]
    last: Publication | GapNotice | Skipped | None = None
    for item in items:
        if isinstance(item, Announcement):
            continue
        last = item
        if isinstance(item, Publication):
            head, tail = sse_parts(item)
        else:
            head, tail = f"id: {cursor_key(item.channel)}={item.position}".encode(), b"\n" + item.event
        parts[-1] += head
        parts.append(tail)
    return None if last is None else EventBatch(parts, last.position)


# By Format. What they return is empty when there is nothing to write.
JOIN: tuple[Callable[[Sequence[Written]], Batch | None], ...] = (join_frames, join_texts, join_events)
