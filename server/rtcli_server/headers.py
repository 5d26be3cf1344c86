"""Header fields of an HTTP request, as they were received."""

from __future__ import annotations

from collections.abc import Sequence

Headers = Sequence[tuple[bytes, bytes]]  # names in lower case


def header_values(headers: Headers, name: bytes) -> list[bytes]:
    """Return all values of a header; `name` is in lower case."""
    return [value for key, value in headers if key == name]
