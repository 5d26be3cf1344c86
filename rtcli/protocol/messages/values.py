"""Times and user ids in the form that messages use (protocol.md, section 1)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

MAX_SAFE_INTEGER = 2**53 - 1  # the largest integer that a JavaScript number holds exactly


@lru_cache(maxsize=8)
def _format_second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def format_timestamp(unix_s: float) -> str:
    """RFC 3339, UTC, with milliseconds (rounded down): `2026-05-01T09:30:00.250Z`."""
    return format_timestamp_ms(int(unix_s * 1000))


def format_timestamp_ms(unix_ms: int) -> str:
    """Format a Unix time in milliseconds like `format_timestamp`."""
    second, millisecond = divmod(unix_ms, 1000)
    return f"{_format_second(second)}.{millisecond:03}Z"


def user_id_to_wire(sub: str) -> int | str:
    """Give a `sub` that is a canonical decimal integer as a number, any other as a string.

    Integers beyond 2**53 - 1 stay strings: a JavaScript client would read another number, so another user.
    """
    if sub.isascii() and len(sub) <= 17 and sub.removeprefix("-").isdigit():
        number = int(sub)
        if str(number) == sub and abs(number) <= MAX_SAFE_INTEGER:
            return number
    return sub
