"""Checksums of rows, and the digest of a whole log. Pure.

Theory: SQLite's pages carry no checksum, so a bit that flips in a file stays unnoticed. Therefore each row
has one over all of its columns. Their sum over all rows, with that of the epoch for new channels, is the
*digest*: it changes with each publication, each writer keeps it up to date by what it adds and removes, and
a file that was shortened, mixed from two times or brought back from an older copy has another one.

A checksum is a CRC-32 over the texts and the data that starts at a value made of the integers. Each function
raises TypeError or AttributeError for a value of another type, UnicodeEncodeError for a lone surrogate.
"""

from __future__ import annotations

from zlib import crc32

DIGEST_MASK = 2**64 - 1
_PRIME = 2**32 - 5  # a bit that flips in an integer changes the integer's remainder
_FACTOR = 1_000_003


def publication_checksum(channel_id: int, offset: int, event: str, data: bytes, time_ms: int) -> int:
    """The checksum of a row of `publications`."""
    numbers = ((channel_id * _FACTOR + offset) * _FACTOR + time_ms) * _FACTOR + len(data)
    return crc32(data, crc32(event.encode(), numbers % _PRIME))


def channel_checksum(  # noqa: PLR0917 - the columns in their order, as SQL passes them
    number: int, name: str, epoch: str, top: int, first: int, size: int, used_ms: int
) -> int:
    """The checksum of a row of `channels`; `number` is the column `id`, `size` is `bytes`."""
    numbers = (((number * _FACTOR + top) * _FACTOR + first) * _FACTOR + size) * _FACTOR + used_ms
    return crc32((epoch + name).encode(), numbers % _PRIME)


def key_checksum(channel: str, key: str, epoch: str, offset: int, time_ms: int) -> int:
    """The checksum of a row of `keys`."""
    numbers = (offset * _FACTOR + time_ms) * _FACTOR + len(key)
    return crc32((channel + epoch + key).encode(), numbers % _PRIME)


def epoch_checksum(epoch: str) -> int:
    """The checksum of the epoch for new channels."""
    return crc32(epoch.encode())
