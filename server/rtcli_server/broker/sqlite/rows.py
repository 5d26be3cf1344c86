"""Reading rows of the log: each is compared with its checksum. The functions raise DamagedFileError."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rtcli_server.broker.base import EPOCH_CHARACTERS
from rtcli_server.broker.sqlite.checksums import channel_checksum, key_checksum, publication_checksum
from rtcli_server.broker.sqlite.damage import DamagedFileError

PUBLICATION = "channel_id, offset, event, data, time_ms, checksum"
CHANNEL = "id, name, epoch, top, first, bytes, used_ms, checksum"
KEY = "channel, key, epoch, offset, time_ms, checksum"

_EPOCH = re.compile(f"[a-z0-9]{{{EPOCH_CHARACTERS}}}")


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
    if not _is_whole(publication_checksum, values):
        raise DamagedFileError(f"publication {values[1]} of channel {values[0]} is not what was written")


def check_key(values: tuple[Any, ...]) -> None:
    """Compare a row of `keys`, selected as `KEY`, with its checksum."""
    if not _is_whole(key_checksum, values):
        raise DamagedFileError("an idempotency key is not what was written")


def channel_row(values: tuple[Any, ...]) -> ChannelRow:
    """Make a row from what was selected as `CHANNEL`, after comparing it with its checksum."""
    if not _is_whole(channel_checksum, values):
        raise DamagedFileError(f"channel {values[0]} is not what was written")
    row = ChannelRow(*values)
    row.stored_top = row.top
    return row


def check_epoch(epoch: object) -> str:
    """Return the epoch for new channels if it looks like one."""
    if not (isinstance(epoch, str) and _EPOCH.fullmatch(epoch)):
        raise DamagedFileError("the epoch is not what was written")
    return epoch


def _is_whole(checksum: Callable[..., int], values: tuple[Any, ...]) -> bool:
    *columns, stored = values
    try:
        return bool(checksum(*columns) == stored)
    except (TypeError, AttributeError):  # a column of another type
        return False


def decode_text(text: bytes) -> str:
    """Decode a text column: what is no UTF-8 any more then differs from its checksum."""
    return text.decode(errors="replace")
