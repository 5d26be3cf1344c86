"""The audit's token: what makes a message recognisable wherever it turns up.

    ~rtAbCdEf0123456789_-AbCdEf0123~        32 ASCII characters, safe in JSON, HTML, URLs and SSE

It is part of the message's text, so it survives any envelope, and one search finds it in received bytes.
Between the mark and the closing `~` are 21 bytes in base64url: the run (3), the sender log (3), the message's
number in it (4), the intended time (5) and how late the message was sent (3), both in microseconds, and a
checksum (3).
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64
from typing import NamedTuple
from zlib import crc32

MARK = b"~rt"
LENGTH = 32  # of a token, in bytes
MAX_RUN = 0xFF_FFFF
MAX_LOG = 0xFF_FFFF
MAX_NUMBER = 0xFFFF_FFFF
MAX_TIME = 0xFF_FFFF_FFFF
MAX_LAG = 0xFF_FFFF
_END = ord("~")
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE = bytes.maketrans(b"-_+/", b"+/!!")  # `!` is not base64: refuse `+` and `/`


class Token(NamedTuple):
    """The fields of a token. `intended` in µs since the start of the run, `lag` in µs after that."""

    run: int
    log: int
    number: int
    intended: int
    lag: int


def encode_token(run: int, log: int, number: int, intended: int, lag: int) -> bytes:
    """Write a token of 32 bytes. `lag` is limited to 16 s; OverflowError is raised for other excess."""
    low = (number << 64) | (intended << 24) | min(max(lag, 0), MAX_LAG)
    if not (run <= MAX_RUN and log <= MAX_LOG and number <= MAX_NUMBER and 0 <= intended <= MAX_TIME):
        raise OverflowError("a token cannot hold these numbers")
    fields = ((run << 120) | (log << 96) | low).to_bytes(18, "big")
    check = (crc32(fields) & 0xFF_FFFF).to_bytes(3, "big")
    return MARK + b2a_base64(fields + check, newline=False).translate(_TO_URL_SAFE) + b"~"


def decode_token(text: bytes) -> Token | None:
    """Read the 32 bytes of a token; None when they are damaged (cut off, or the checksum differs)."""
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
        (value >> 96) & MAX_LOG,
        (value >> 64) & MAX_NUMBER,
        (value >> 24) & MAX_TIME,
        value & MAX_LAG,
    )
