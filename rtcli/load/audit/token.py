"""The audit's token: what makes a message recognisable wherever it turns up, and its text verifiable.

    ~rtAbCdEf0123456789_-AbCdEf0123AbCdEf01AbCd~    44 ASCII characters, safe in JSON, HTML, URLs and SSE

A message's text begins with it, so it survives any envelope and most cuts, and one search finds it in
received bytes. Between the mark and the closing `~` are 30 bytes in base64url: the run (3), the sender log
(3), the message's number in it (4), the intended time (5) and how late the message was sent (3), both in
microseconds, the length of the text behind the token in characters (3) and its checksum (3), the code of the
room that it was sent to (3), and a checksum of all these (3).
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64
from hashlib import blake2s
from re import compile as compile_pattern
from struct import Struct
from typing import NamedTuple
from zlib import crc32

MARK = b"~rt"
LENGTH = 44  # of a token, in bytes
MAX_RUN = 0xFF_FFFF
MAX_LOG = 0xFF_FFFF
MAX_NUMBER = 0xFFFF_FFFF
MAX_TIME = 0xFF_FFFF_FFFF
MAX_LAG = 0xFF_FFFF
MAX_TEXT = 0xFF_FFFF
MAX_ROOM = 0xFF_FFFF
_END = ord("~")
_FIELDS = 27  # bytes in front of the token's own checksum
_pack = Struct(">QQQHB").pack
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE = bytes.maketrans(b"-_+/", b"+/!!")  # `!` is not base64: refuse `+` and `/`
_READABLE = compile_pattern(rb"~rt((?:[A-Za-z0-9_-]{4})+)")


class Token(NamedTuple):
    """The fields of a token. `intended` in µs since the start of the run, `lag` in µs after that.

    `length` and `digest` are of the text behind the token: its characters, and `digest_of` them. `room` is
    the `room_code` of the room that the message was sent to.
    """

    run: int
    log: int
    number: int
    intended: int
    lag: int
    length: int = 0
    digest: int = 0
    room: int = 0


class Remains(NamedTuple):
    """What can be read of a damaged token; any of it may be wrong. `sent`: intended + lag; None: cut off."""

    run: int
    log: int
    number: int
    sent: int | None


def digest_of(text: str) -> int:
    """The checksum of a text: the lower 24 bits of its CRC-32 in UTF-8."""
    return crc32(text.encode("utf-8", "surrogatepass")) & 0xFF_FFFF


def room_code(room: str) -> int:
    """The code of a room: the same in all workers, and 1 in 16 million for two rooms to have the same."""
    return int.from_bytes(blake2s(room.encode("utf-8", "surrogatepass"), digest_size=3).digest(), "big")


def encode_token(  # noqa: PLR0917 - the fields of a token, in their order
    run: int, log: int, number: int, intended: int, lag: int, length: int = 0, digest: int = 0, room: int = 0
) -> bytes:
    """Write a token of 44 bytes. `lag` is limited to 16 s; OverflowError is raised for other excess."""
    lag = min(max(lag, 0), MAX_LAG)
    in_range = (
        run <= MAX_RUN and log <= MAX_LOG and number <= MAX_NUMBER and length <= MAX_TEXT and room <= MAX_ROOM
    )
    if not (in_range and 0 <= intended <= MAX_TIME):
        raise OverflowError("a token cannot hold these numbers")
    fields = _pack(
        run << 40 | log << 16 | number >> 16,
        (number & 0xFFFF) << 48 | intended << 8 | lag >> 16,
        (lag & 0xFFFF) << 48 | length << 24 | digest,
        room >> 8,
        room & 0xFF,
    )
    check = (crc32(fields) & 0xFF_FFFF).to_bytes(3, "big")
    return MARK + b2a_base64(fields + check, newline=False).translate(_TO_URL_SAFE) + b"~"


def decode_token(text: bytes) -> Token | None:
    """Read the 44 bytes of a token; None when they are damaged (cut off, or the checksum differs)."""
    if len(text) != LENGTH or text[-1] != _END or not text.startswith(MARK):
        return None
    try:
        raw = a2b_base64(text[3:-1].translate(_FROM_URL_SAFE), strict_mode=True)
    except Error:
        return None
    fields, check = raw[:_FIELDS], raw[_FIELDS:]
    if (crc32(fields) & 0xFF_FFFF).to_bytes(3, "big") != check:
        return None
    value = int.from_bytes(fields, "big")
    return Token(
        value >> 192,
        (value >> 168) & MAX_LOG,
        (value >> 136) & MAX_NUMBER,
        (value >> 96) & MAX_TIME,
        (value >> 72) & MAX_LAG,
        (value >> 48) & MAX_TEXT,
        (value >> 24) & 0xFF_FFFF,
        value & MAX_ROOM,
    )


def read_remains(text: bytes) -> Remains | None:
    """Read what is left of a damaged token; None when not even the message's number is."""
    match = _READABLE.match(text)
    raw = b"" if match is None else a2b_base64(match[1].translate(_FROM_URL_SAFE))
    if len(raw) < 10:
        return None
    run, log, number = (int.from_bytes(raw[low:high], "big") for low, high in ((0, 3), (3, 6), (6, 10)))
    times = raw[10:18]
    sent = int.from_bytes(times[:5], "big") + int.from_bytes(times[5:], "big") if len(times) == 8 else None
    return Remains(run, log, number, sent)
