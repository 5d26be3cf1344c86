"""Header fields of an HTTP request as they were received. Pure."""

from __future__ import annotations

from collections.abc import Sequence

Headers = Sequence[tuple[bytes, bytes]]  # names in lower case


def values(headers: Headers, name: bytes) -> list[bytes]:
    """All values of a header; `name` in lower case."""
    return [value for key, value in headers if key == name]
