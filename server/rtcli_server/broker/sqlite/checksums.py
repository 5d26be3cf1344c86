"""Checksums of rows, and the digest of a whole log. Pure.

Theory: SQLite's pages carry no checksum, so a bit that flips in a file stays unnoticed. Therefore each row
has one over all of its columns. Their sum over all rows, with that of the epoch for new channels, is the
*digest*: it changes with each publication, each writer keeps it up to date by what it adds and removes, and
a file that was shortened, mixed from two times or brought back from an older copy has another one.

A checksum is a CRC-32 over the texts and the data that starts at a value made of the integers. Each function
raises TypeError or AttributeError for a value of another type, UnicodeEncodeError for a lone surrogate.
"""

from __future__ import annotations

from functools import lru_cache
from zlib import crc32

DIGEST_MASK = 2**64 - 1
_PRIME = 2**32 - 5  # a bit that flips in an integer changes the integer's remainder
_FACTOR = 1_000_003
_ODD_FACTOR = 998_244_353


def publication_checksum(channel_id: int, offset: int, event: str, data: bytes, time_ms: int) -> int:
    """The checksum of a row of `publications`."""
    numbers = channel_id * _ODD_FACTOR + offset * _FACTOR + time_ms + _text_checksum(event)
    return crc32(data, numbers % _PRIME)


def channel_checksum(  # noqa: PLR0917 - the columns in their order, as SQL passes them
    number: int, name: str, epoch: str, top: int, first: int, size: int, used_ms: int
) -> int:
    """The checksum of a row of `channels`; `number` is the column `id`, `size` is `bytes`."""
    numbers = (((number * _FACTOR + top) * _FACTOR + first) * _FACTOR + size) * _FACTOR + used_ms
    return crc32((epoch + name).encode(), numbers % _PRIME)


def key_checksum(channel: str, key: str, epoch: str, offset: int, time_ms: int) -> int:
    """The checksum of a row of `keys`."""
    return crc32((channel + epoch + key).encode(), (offset * _FACTOR + time_ms) % _PRIME)


def epoch_checksum(epoch: str) -> int:
    """The checksum of the epoch for new channels."""
    return _text_checksum(epoch)


@lru_cache(maxsize=256)
def _text_checksum(text: str) -> int:
    return crc32(text.encode())
