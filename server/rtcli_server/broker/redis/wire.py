"""What the Redis log writes and reads under its keys. Anybody may have written what it reads.

So its form is checked here, and what it says in `broker/validation.py`.

Names, with the prefix `rt`: `rt:{room:a}:m` the channel's state, `rt:{room:a}:s` its stream,
`rt:{room:a}:k:KEY` an idempotency key, `rt:p:room:a` its pub/sub channel; `rt:p:users` that of all
users' channels, where each message begins with its channel. The braces are a hash tag: all keys of a channel
are in one slot of a Redis Cluster.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from rtcli.protocol.position import USER_PREFIX, Position
from rtcli.protocol.publication import Publication
from rtcli.protocol.tokens import is_valid_user_id
from rtcli_server.broker.coordinator import Notification
from rtcli_server.broker.validation import ForeignDataError, check_notification, check_publication

MAX_NOTIFICATION_BYTES = 8_192
NOTIFICATION_MARK = b"0 "  # begins a notification on a pub/sub channel; a publication begins with `1 `
# What the log's Redis user must be allowed, for `ACL SETUSER name on >password …`, with the prefix `rt`. In a
# cluster also `+cluster|slots`.
REQUIRED_ACL = (
    "resetkeys ~rt:* resetchannels &rt:* -@all +evalsha +script|load +publish +subscribe +unsubscribe"
    " +hmget +hset +del +exists +get +set +pexpire +xadd +xrange +xrevrange +xtrim"
    " +type +time +hget +hdel +hgetall +hlen +hkeys +hscan +sadd +srem +smembers"
    " +zadd +zscore +zrange +zremrangebyscore"
)
_POSITION = rb"([a-z0-9]{4,16})-([1-9][0-9]{0,15})"
_HEADER = re.compile(rb"1 %b ([0-9]{1,15}) ([^\x00-\x20]{1,128})" % _POSITION)
_EXCLUDES = b" x"  # at the end of a header: whom it excludes is in the next line
_ENTRY_ID = re.compile(rb"([1-9][0-9]{0,15})-0")
_ANSWER = re.compile(rb"%b ([01])" % _POSITION)
_EPOCH = re.compile(rb"[a-z0-9]{4,16}")
_TIME = re.compile(rb"[0-9]{1,15}")
_OFFSET = re.compile(rb"[0-9]{1,16}")
_notification = msgspec.json.Decoder(Notification)


class Route(NamedTuple):
    """How the messages of a channel go: on which pub/sub channel, and what each begins with."""

    pubsub_channel: bytes
    prefix: bytes = b""


class Names:
    """The names of keys and pub/sub channels."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode()
        self._pubsub_prefix = self._prefix + b":p:"
        self.users = self._pubsub_prefix + b"users"  # no channel of the log has this name

    def keys(self, channel: str, key: str | None = None) -> list[bytes]:
        """State, stream and, with `key`, the idempotency key."""
        base = self.of(channel)
        keys = [base + b"m", base + b"s"]
        if key is not None:
            keys.append(base + b"k:" + key.encode())
        return keys

    def of(self, tag: str, kind: str = "") -> bytes:
        """A key of `tag`, a channel for example; all keys with one tag are in one slot of a cluster."""
        return b"%b:{%b}:%b" % (self._prefix, tag.encode(), kind.encode())

    def pubsub_channel(self, channel: str) -> bytes:
        """Where a channel's publications and notifications are published, unless it is a user's."""
        return self._pubsub_prefix + channel.encode()

    def route(self, channel: str) -> Route:
        """How a channel's publications reach the instances."""
        if channel.startswith(USER_PREFIX):
            return Route(self.users, channel.encode() + b"\n")
        return Route(self.pubsub_channel(channel))

    def probe(self, instance: str) -> bytes:
        """The pub/sub channel on which an instance listens for its own probes."""
        return b"%b:probe:%b" % (self._prefix, instance.encode())


def split_user_message(message: bytes) -> tuple[str, bytes]:
    """Split a message of `Names.users` into its channel and what publish.lua publishes there.

    Raises ForeignDataError.
    """
    name, _, payload = message.partition(b"\n")
    try:
        channel = name.decode()
    except UnicodeDecodeError as error:
        raise ForeignDataError(str(error)) from error
    if not channel.startswith(USER_PREFIX) or not is_valid_user_id(channel.removeprefix(USER_PREFIX)):
        raise ForeignDataError("not a user's channel")
    return channel, payload


def parse_message(channel: str, payload: bytes) -> Publication:
    """Read what publish.lua publishes. Raises ForeignDataError."""
    header, _, data = payload.partition(b"\n")
    match, exclude = _HEADER.fullmatch(header), None
    if match is None and header.endswith(_EXCLUDES):
        match = _HEADER.fullmatch(header[: -len(_EXCLUDES)])
        exclude, _, data = data.partition(b"\n")
    if match is None:
        raise ForeignDataError("not a publication")
    epoch, offset, time_ms, event = match.groups()
    return _publication(channel, (epoch, offset), event, data, time_ms, exclude)


def parse_notification(channel: str, payload: bytes) -> Notification:
    """Read what `RedisCoordinator.notify` and presence.lua publish. Raises ForeignDataError."""
    try:
        if len(payload) > MAX_NOTIFICATION_BYTES:
            raise ForeignDataError("not a notification: too long")
        return check_notification(channel, _notification.decode(payload.removeprefix(NOTIFICATION_MARK)))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ForeignDataError(f"not a notification: {error}") from error


def parse_entry(channel: str, epoch: str, entry: Sequence[object]) -> Publication:
    """Read an entry of the stream. Raises ForeignDataError."""
    match entry:
        case [bytes(id_), [b"e", bytes(event), b"d", bytes(data), b"t", bytes(time_ms), *_]]:
            exclude = None
        case [
            bytes(id_),
            [
                b"E",
                bytes(event),
                b"d",
                bytes(data),
                b"t",
                bytes(time_ms),
                b"b",
                bytes(),
                b"x",
                bytes(exclude),
            ],
        ]:
            pass
        case _:
            raise ForeignDataError("not an entry of a log")
    number = _ENTRY_ID.fullmatch(id_)
    if not number or not _TIME.fullmatch(time_ms):
        raise ForeignDataError("not an entry of a log")
    return _publication(channel, (epoch.encode(), number[1]), event, data, time_ms, exclude)


def parse_answer(answer: object) -> tuple[Position, bool]:
    """Read what publish.lua returns: a position, and whether it is that of an earlier publication."""
    match = _ANSWER.fullmatch(answer) if isinstance(answer, bytes) else None
    if match is None:
        raise ForeignDataError("not an answer of publish.lua")
    return Position(match[1].decode(), int(match[2])), match[3] == b"1"


def parse_page(answer: object) -> tuple[Position, list[Any]]:
    """Read what history.lua returns: the top, and the entries as they are in the stream."""
    match answer:
        case [bytes(epoch), bytes(top), list(entries)] if _EPOCH.fullmatch(epoch) and _OFFSET.fullmatch(top):
            return Position(epoch.decode(), int(top)), entries
    raise ForeignDataError("not an answer of history.lua")


def _publication(  # noqa: PLR0917 - names would cost as much as a part of the check
    channel: str,
    position: tuple[bytes, bytes],
    event: bytes,
    data: bytes,
    time_ms: bytes,
    exclude: bytes | None,
) -> Publication:
    epoch, offset = position
    try:
        name = event.decode()
    except UnicodeDecodeError as error:
        raise ForeignDataError(str(error)) from error
    return check_publication(channel, epoch.decode(), int(offset), name, data, int(time_ms), exclude)


def offset_of(entry: Sequence[object]) -> int | None:
    """The offset in an entry's id, or None when it is none of ours."""
    match = _ENTRY_ID.fullmatch(entry[0]) if isinstance(entry[0], bytes) else None
    return int(match[1]) if match else None
