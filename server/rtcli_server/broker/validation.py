"""What a publication may be: the one check of everything that is found in a store or comes from a peer.

Whoever can write to a store may have written what is read from it, and clients, browsers among them, get it
as it is. So it passes the same rules as what clients send to this server: what does not is foreign, and is
skipped (foreign.py).

A publication is proven fast when its data are, byte for byte, what this server would write. Whatever else is
valid (other versions write other spaces) is read slowly, by the strict parser of the protocol.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeVar

import msgspec

from rtcli.protocol.exclusion import Exclusion, InvalidExclusionError, decode_exclusion
from rtcli.protocol.messages import UserId
from rtcli.protocol.messages.client import Content, Id
from rtcli.protocol.messages.strict_json import MAX_DEPTH, NotAcceptedError, parse
from rtcli.protocol.names import is_valid_name
from rtcli.protocol.position import MAX_OFFSET, ROOM_PREFIX
from rtcli.protocol.publication import NEW_MESSAGE, Publication, encode_timestamp, is_valid_event_name
from rtcli.protocol.rooms import is_valid_room
from rtcli.protocol.tokens import is_token_id, is_valid_user_id
from rtcli_server.auth.revocations import Revocation, RevocationKind
from rtcli_server.broker.coordinator import Notification

CONTROL = "control"  # the channel for commands to all instances, and their event
MAX_DATA_BYTES = 1024 * 1024
MAX_TIME_MS = 253_402_300_799_999  # the last one of the year 9999, in which RFC 3339 ends
_EPOCH = re.compile(r"[a-z0-9]{4,16}", re.ASCII)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_INSTANCE = re.compile(r"[0-9a-f]{8}", re.ASCII)


class ForeignDataError(Exception):
    """Something in a store, or from a peer, that this program did not write."""


class _Message(msgspec.Struct, omit_defaults=True):
    """The data of a chat message, with the fields in the order of `publication.chat_data`."""

    room: str
    content: Content
    sender_id: UserId
    sender_name: str
    timestamp: str
    id: Id = None
    # Those that delivery adds: a name must not occur twice.
    offset: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    epoch: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


T = TypeVar("T")
_encode = msgspec.json.Encoder().encode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_object = msgspec.json.Decoder(dict[str, object]).decode


def check_row(
    channel: str,
    *,
    epoch: object,
    offset: object,
    event: object,
    data: object,
    time_ms: object,
    exclude: object = None,
) -> Publication:
    """Make a publication of values of any type. Raises ForeignDataError for anything that is none."""
    if type(epoch) is not str or _EPOCH.fullmatch(epoch) is None:
        raise ForeignDataError("not an epoch")
    if type(offset) is not int or not 0 < offset <= MAX_OFFSET:
        raise ForeignDataError("not an offset")
    if type(time_ms) is not int or type(event) is not str or type(data) is not bytes:
        raise ForeignDataError("not an event with data and a time")
    if exclude is not None and type(exclude) is not bytes:
        raise ForeignDataError("not an exclusion")
    return check_publication(channel, epoch, offset, event, data, time_ms, exclude)


def check_publication(  # noqa: PLR0917 - names would cost as much as a part of the check
    channel: str,
    epoch: str,
    offset: int,
    event: str,
    data: bytes,
    time_ms: int,
    exclude: bytes | None = None,
) -> Publication:
    """Make a publication, whose position is well-formed. Raises ForeignDataError.

    Called for each publication that comes from Redis, so it makes no detour for those that servers write.
    """
    if len(data) > MAX_DATA_BYTES or not 0 <= time_ms <= MAX_TIME_MS:
        raise ForeignDataError("too large")
    if channel.startswith(ROOM_PREFIX):
        if event != NEW_MESSAGE:
            raise ForeignDataError("not an event of a room")
        _check_message(channel[len(ROOM_PREFIX) :], data, time_ms)
    elif is_valid_event_name(event) if channel != CONTROL else event == CONTROL:
        _check_object(data)
    else:
        raise ForeignDataError("not the name of an event")
    if exclude is None:
        return Publication(channel, epoch, offset, event, data, time_ms)
    return Publication(channel, epoch, offset, event, data, time_ms, _check_exclusion(exclude))


def _check_exclusion(data: bytes) -> Exclusion:
    try:
        return decode_exclusion(data)
    except InvalidExclusionError as error:
        raise ForeignDataError(str(error)) from error


def _check_message(room: str, data: bytes, time_ms: int) -> None:
    try:
        message = _decode_message(data)
        # As we write it: so no name occurs twice, nothing is nested, and all of it is UTF-8.
        written = _encode(message) == data and "\0" not in message.content and "\0" not in (message.id or "")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ForeignDataError(str(error)) from error
    if not written:
        message = _strictly(data, _Message)
    if message.room != room:
        raise ForeignDataError("a message of another room")
    if not _is_valid_sender(message.sender_id, message.sender_name):
        raise ForeignDataError("not a sender")
    if message.timestamp.encode() != encode_timestamp(time_ms) and not _TIMESTAMP.fullmatch(
        message.timestamp
    ):
        raise ForeignDataError("not a timestamp")
    if message.offset is not msgspec.UNSET or message.epoch is not msgspec.UNSET:
        raise ForeignDataError("a message that has a position already")


def _check_object(data: bytes) -> None:
    try:
        written = _encode(_decode_object(data)) == data and b"\\u0000" not in data
        if written and data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
            return
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # perhaps a number that only the other parser can hold
    _strictly(data, dict[str, object])


def _strictly(data: bytes, type_: type[T]) -> T:
    """Read one JSON object as the protocol accepts it. Raises ForeignDataError."""
    if data[:1] != b"{" or data[-1:] != b"}":
        raise ForeignDataError("not an object")
    try:
        return msgspec.convert(parse(data.decode()), type_)
    except (NotAcceptedError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ForeignDataError(str(error)) from error


@lru_cache(maxsize=4096)
def _is_valid_sender(user_id: UserId, name: str) -> bool:
    return is_valid_user_id(str(user_id)) and is_valid_name(name)


def check_notification(channel: str, notification: Notification) -> Notification:
    """Return a notification that says something possible of a room. Raises ForeignDataError."""
    if not channel.startswith(ROOM_PREFIX):
        raise ForeignDataError("not a room")
    check_member(notification.user, notification.name)
    if notification.by and not is_instance_id(notification.by):
        raise ForeignDataError("not an instance")
    return notification


def check_member(user_id: str, name: str) -> tuple[str, str]:
    """Return both if somebody may be called that. Raises ForeignDataError."""
    if not is_valid_user_id(user_id) or not is_valid_name(name):
        raise ForeignDataError("not a user with a name")
    return user_id, name


def check_revocation(revocation: Revocation) -> Revocation:
    """Return a revocation that says something possible. Raises ForeignDataError."""
    is_subject = is_token_id if revocation.kind is RevocationKind.TOKEN else is_valid_user_id
    if not is_subject(revocation.subject):
        raise ForeignDataError("not a token or a user")
    if not (0 <= revocation.before_ms <= MAX_TIME_MS and 0 <= revocation.until_ms <= MAX_TIME_MS):
        raise ForeignDataError("not a time")
    return revocation


def is_room_channel(text: str) -> bool:
    """Whether `text` is the channel of a room."""
    return text.startswith(ROOM_PREFIX) and is_valid_room(text[len(ROOM_PREFIX) :])


def is_instance_id(text: str) -> bool:
    """Whether `text` is what `coordinator.new_instance_id` makes."""
    return _INSTANCE.fullmatch(text) is not None
