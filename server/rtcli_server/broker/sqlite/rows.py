"""Rows of the log, each with its checksum, and the digest of a whole log. Pure.

Theory: SQLite's pages carry no checksum, so a bit that flips in a file stays unnoticed. Therefore each row
has one over all of its columns. Their sum over all rows, with that of the epoch for new channels, is the
*digest*: it changes with each publication, each writer keeps it up to date by what it adds and removes, and
a file that was shortened, mixed from two times or brought back from an older copy has another one.

A checksum is a CRC-32 over the texts and the data that starts at a value made of the integers. Each function
raises TypeError or AttributeError for a value of another type, UnicodeEncodeError for a lone surrogate.

The functions that read a row raise DamagedFileError when it is not what was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zlib import crc32

from rtcli_server.broker.base import EPOCH_CHARACTERS
from rtcli_server.broker.sqlite.damage import DamagedFileError

PUBLICATION = "channel_id, offset, event, data, time_ms, exclude, checksum"
CHANNEL = "id, name, epoch, top, first, bytes, used_ms, checksum"
KEY = "channel, key, epoch, offset, time_ms, checksum"

DIGEST_MASK = 2**64 - 1
_PRIME = 2**32 - 5  # a bit that flips in an integer changes the integer's remainder
_FACTOR = 1_000_003
_ODD_FACTOR = 998_244_353
_EPOCH = re.compile(f"[a-z0-9]{{{EPOCH_CHARACTERS}}}")


def publication_checksum(  # noqa: PLR0917 - the columns in their order, as SQL passes them
    channel_id: int, offset: int, event: str, data: bytes, time_ms: int, exclude: bytes | None = None
) -> int:
    """The checksum of a row of `publications`. A row without `exclude` has the one of earlier versions."""
    numbers = channel_id * _ODD_FACTOR + offset * _FACTOR + time_ms + _text_checksum(event)
    checksum = crc32(data, numbers % _PRIME)
    return checksum if exclude is None else crc32(exclude, checksum)


def channel_checksum(  # noqa: PLR0917 - the columns in their order, as SQL passes them
    number: int, name: str, epoch: str, top: int, first: int, size: int, used_ms: int
) -> int:
    """The checksum of a row of `channels`; `number` is the column `id`, `size` is `bytes`."""
    numbers = (((number * _FACTOR + top) * _FACTOR + first) * _FACTOR + size) * _FACTOR + used_ms
    return crc32((epoch + name).encode(), numbers % _PRIME)


def key_checksum(channel: str, key: str, epoch: str, offset: int, time_ms: int) -> int:
    """The checksum of a row of `keys`."""
    return crc32((channel + epoch + key).encode(), (offset * _FACTOR + time_ms) % _PRIME)


def revocation_checksum(kind: str, subject: str, before_ms: int, until_ms: int) -> int:
    """The checksum of a row of `revocations`."""
    return crc32(subject.encode(), (before_ms * _FACTOR + until_ms + _text_checksum(kind)) % _PRIME)


def epoch_checksum(epoch: str) -> int:
    """The checksum of the epoch for new channels."""
    return _text_checksum(epoch)


@lru_cache(maxsize=256)
def _text_checksum(text: str) -> int:
    return crc32(text.encode())


@dataclass(slots=True)
class ChannelRow:
    """A row of `channels`: `first` is the oldest offset in the file (top + 1: none).

    `checksum` is the one in the file. `stored_top` is the top of the latest commit.
    """

    id: int
    name: str
    epoch: str
    top: int
    first: int
    bytes: int
    used_ms: int
    checksum: int = 0
    stored_top: int = 0


def check_publication(values: tuple[Any, ...]) -> None:
    """Compare a row of `publications`, selected as `PUBLICATION`, with its checksum."""
    if not is_whole(publication_checksum, values):
        raise DamagedFileError(f"publication {values[1]} of channel {values[0]} is not what was written")


def check_key(values: tuple[Any, ...]) -> None:
    """Compare a row of `keys`, selected as `KEY`, with its checksum."""
    if not is_whole(key_checksum, values):
        raise DamagedFileError("an idempotency key is not what was written")


def channel_row(values: tuple[Any, ...]) -> ChannelRow:
    """Make a row from what was selected as `CHANNEL`, after comparing it with its checksum."""
    if not is_whole(channel_checksum, values):
        raise DamagedFileError(f"channel {values[0]} is not what was written")
    row = ChannelRow(*values)
    row.stored_top = row.top
    return row


def check_epoch(epoch: object) -> str:
    """Return the epoch for new channels if it looks like one."""
    if not (isinstance(epoch, str) and _EPOCH.fullmatch(epoch)):
        raise DamagedFileError("the epoch is not what was written")
    return epoch


def is_whole(checksum: Callable[..., int], values: tuple[Any, ...]) -> bool:
    """Whether a row, whose last column is its checksum, is what was written."""
    *columns, stored = values
    try:
        return bool(checksum(*columns) == stored)
    except (TypeError, AttributeError):  # a column of another type
        return False


def decode_text(text: bytes) -> str:
    """Decode a text column: what is no UTF-8 any more then differs from its checksum."""
    return text.decode(errors="replace")
