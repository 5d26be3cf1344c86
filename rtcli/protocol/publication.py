"""One durable event, and its bytes for clients.

A publication is encoded once for WebSocket and once for SSE, whatever the number of receivers. Streams differ
only in the rest of their cursors, which goes between the two parts of `sse_parts`.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.messages import UserId, format_timestamp_ms
from rtcli.protocol.position import ROOM_PREFIX, Position, cursor_key

NEW_MESSAGE = "new_message"
DIRECT = "direct"  # what is sent to one connection
SKIPPED = "skipped"  # instead of a publication that its receiver is excluded from
# Reserved names: our own, and those that a browser's EventSource fires by itself.
RESERVED_EVENTS = frozenset(
    {NEW_MESSAGE, DIRECT, SKIPPED, "ready", "heartbeat", "gap", "closing", "error", "open"}
)
EVENT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,63}", re.ASCII)
_LINE_ENDS = re.compile(rb"[\r\n]+")


class Publication(msgspec.Struct, frozen=True):
    """A publication in a channel's log.

    `event` is `new_message` in rooms, else the publisher's name. `data` is one JSON object as UTF-8 text,
    without the position. `time_ms` is the Unix time in milliseconds when it was appended. `exclude`: who
    gets its position alone.
    """

    channel: str
    epoch: str
    offset: int
    event: str
    data: bytes
    time_ms: int
    exclude: Exclusion | None = None

    @property
    def content_bytes(self) -> int:
        """Its data, and whom it excludes, in memory: what differs from one publication to another."""
        size = len(self.data)
        return size if self.exclude is None else size + self.exclude.memory_bytes

    @property
    def position(self) -> Position:
        """Where it is in its channel's log."""
        return Position(self.epoch, self.offset)


class _Message(msgspec.Struct, frozen=True, omit_defaults=True):
    room: str
    content: str
    sender_id: UserId
    sender_name: str
    timestamp: str
    id: str | None = None


_encode = msgspec.json.Encoder().encode


def chat_data(
    *,
    room: str,
    content: str,
    sender_id: UserId,
    sender_name: str,
    timestamp: str,
    id: str | None = None,  # noqa: A002 - the field's name on the wire
) -> bytes:
    """Encode the data of a chat message as JSON. `timestamp` is RFC 3339 text; `id` is the sender's own."""
    return _encode(_Message(room, content, sender_id, sender_name, timestamp, id))


def idempotency_key(user_id: str, id: str) -> str:  # noqa: A002 - the field's name on the wire
    """The key for a publisher's own id. The length keeps `a` with `b:c` apart from `a:b` with `c`."""
    return f"{len(user_id)}:{user_id}:{id}"


def is_valid_event_name(name: str) -> bool:
    """Whether a publisher may use this event name: 1-64 of `A-Za-z0-9_.:/-`, and not a reserved one."""
    return EVENT_NAME.fullmatch(name) is not None and name not in RESERVED_EVENTS


@lru_cache(maxsize=64)
def encode_timestamp(time_ms: int) -> bytes:
    """Encode the time of a publication as it stands in messages."""
    return format_timestamp_ms(time_ms).encode()


def _positioned(publication: Publication) -> bytes:
    """Insert the position into the data of a room's message."""
    data = publication.data
    comma = b"" if data == b"{}" else b","
    return b'%b%boffset":%d,"epoch":"%b"}' % (
        data[:-1],
        comma + b'"',
        publication.offset,
        publication.epoch.encode(),
    )


def ws_message(publication: Publication) -> bytes:
    """Encode the message for WebSocket clients: `new_message` in rooms, `event` elsewhere."""
    time = encode_timestamp(publication.time_ms)
    if publication.channel.startswith(ROOM_PREFIX) and len(publication.data) > 2:
        # One format operation instead of two: this runs for every publication.
        return b'{"type":"new_message","data":%b,"offset":%d,"epoch":"%b"},"timestamp":"%b"}' % (
            publication.data[:-1],
            publication.offset,
            publication.epoch.encode(),
            time,
        )
    if publication.channel.startswith(ROOM_PREFIX):
        return b'{"type":"new_message","data":%b,"timestamp":"%b"}' % (_positioned(publication), time)
    return (
        b'{"type":"event","data":{"event":%b,"data":%b,"channel":%b,"offset":%d,"epoch":"%b"},"timestamp":"%b"}'
        % (
            _encode(publication.event),
            publication.data,
            _encode(publication.channel),
            publication.offset,
            publication.epoch.encode(),
            time,
        )
    )


def direct_data(event: str, data: bytes) -> bytes:
    """Encode the data of an event for one connection; `data` is JSON as UTF-8."""
    return b'{"event":%b,"data":%b}' % (_encode(event), data)


def ws_direct(data: bytes, timestamp: str) -> bytes:
    """Encode the message for one connection; `data` is what `direct_data` makes."""
    return b'{"type":"direct","data":%b,"timestamp":"%b"}' % (data, timestamp.encode())


def sse_parts(publication: Publication) -> tuple[bytes, bytes]:
    """Encode the event for streams, as head and tail: each stream gets head + suffix + tail.

    The suffix is the rest of that stream's cursor (`,` and its other channels) or empty: an event's id is
    always a whole cursor. Line ends between the tokens of the JSON data become spaces.
    """
    data = _positioned(publication) if publication.channel.startswith(ROOM_PREFIX) else publication.data
    if b"\n" in data or b"\r" in data:
        data = _LINE_ENDS.sub(b" ", data)
    head = f"id: {cursor_key(publication.channel)}={publication.epoch}-{publication.offset}".encode()
    return head, b"\nevent: %b\ndata: %b\n\n" % (publication.event.encode(), data)
