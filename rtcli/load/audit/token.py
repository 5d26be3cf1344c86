"""The audit's token: what makes a message recognisable wherever it turns up.

    ~rtAbCdEf0123456789_-AbCdEf0123~        32 ASCII characters, safe in JSON, HTML, URLs and SSE

It stands in the message's text, so it survives any envelope and is found in received bytes by one search.
Between the mark and the closing `~` are 21 bytes in base64url: the run (3), the stream (3), the number in it
(4), the intended time (5) and how late the message left (3), both in microseconds, and a checksum (3).
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64
from typing import NamedTuple
from zlib import crc32

MARK = b"~rt"
LENGTH = 32  # of a token, in bytes
MAX_RUN = 0xFF_FFFF
MAX_STREAM = 0xFF_FFFF
MAX_NUMBER = 0xFFFF_FFFF
MAX_TIME = 0xFF_FFFF_FFFF
MAX_LAG = 0xFF_FFFF
_END = ord("~")
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE = bytes.maketrans(b"-_+/", b"+/!!")  # `!` is no base64: what we do not write is not read


class Token(NamedTuple):
    """What a token says. Times are microseconds: `intended` since the start of the run, `lag` after that."""

    run: int
    stream: int
    number: int
    intended: int
    lag: int


def encode_token(run: int, stream: int, number: int, intended: int, lag: int) -> bytes:
    """Write a token; `lag` is cut off at its largest value (16 s). Raises OverflowError for other excess."""
    low = (number << 64) | (intended << 24) | min(max(lag, 0), MAX_LAG)
    if not (run <= MAX_RUN and stream <= MAX_STREAM and number <= MAX_NUMBER and 0 <= intended <= MAX_TIME):
        raise OverflowError("a token cannot hold these numbers")
    fields = ((run << 120) | (stream << 96) | low).to_bytes(18, "big")
    check = (crc32(fields) & 0xFF_FFFF).to_bytes(3, "big")
    return MARK + b2a_base64(fields + check, newline=False).translate(_TO_URL_SAFE) + b"~"


def decode_token(text: bytes) -> Token | None:
    """Read the 32 bytes of a token; None when they are not intact (cut off, or the checksum differs)."""
    if len(text) != LENGTH or text[31] != _END or not text.startswith(MARK):
        return None
    try:
        raw = a2b_base64(text[3:31].translate(_FROM_URL_SAFE), strict_mode=True)
    except Error:
        return None
    fields, check = raw[:18], raw[18:]
    if (crc32(fields) & 0xFF_FFFF).to_bytes(3, "big") != check:
        return None
    value = int.from_bytes(fields, "big")
    return Token(
        value >> 120,
        (value >> 96) & MAX_STREAM,
        (value >> 64) & MAX_NUMBER,
        (value >> 24) & MAX_TIME,
        value & MAX_LAG,
    )
