"""Which pages may connect: `Origin` compared whole, never by prefix, suffix or pattern.

RFC 6455, section 10.2, and RFC 6454. Browsers say honestly where a script comes from, other programs say
what they like: the check protects a browser's user from foreign pages and is no authentication.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE
)
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class InvalidOriginError(ValueError):
    """Not `scheme://host[:port]`. In configuration: a mistake must not be an origin that never matches."""


class Origin(NamedTuple):
    """A parsed origin; `port` is the scheme's own where none was written, None where it has none."""

    scheme: str
    host: str
    port: int | None


class OriginVerdict(Enum):
    """What a request's `Origin` means. With ABSENT (not a browser) the cookie does not count."""

    ABSENT = "absent"
    ALLOWED = "allowed"
    REFUSED = "refused"


def parse_origin(text: str) -> Origin:
    """Read an origin. Raises InvalidOriginError, also for `null`, for a path and for a trailing slash."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise InvalidOriginError(f"{text!r} is not an origin: write scheme://host or scheme://host:port")
    scheme, host = match[1].lower(), match[2].lower()
    port = int(match[3]) if match[3] else _DEFAULT_PORTS.get(scheme)
    if port is not None and port > 65_535:
        raise InvalidOriginError(f"{text!r} has a port over 65535")
    return Origin(scheme, host, port)


class OriginPolicy:
    """The allow-list. An empty one refuses every browser page."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = {parse_origin(text) for text in allowed}

    def allow_loopback(self, port: int, *, tls: bool = False) -> None:
        """Allow the pages that this server itself serves on loopback.

        The names are fixed ones and not the request's `Host`: with DNS rebinding, a foreign page has any
        `Host` that it wants.
        """
        scheme = "https" if tls else "http"
        self._allowed |= {Origin(scheme, host, port) for host in LOOPBACK_HOSTS}

    def check(self, values: Sequence[str]) -> OriginVerdict:
        """Judge all `Origin` headers of a request. Two of them are refused, whatever they say."""
        if not values:
            return OriginVerdict.ABSENT
        if len(values) > 1:
            return OriginVerdict.REFUSED
        try:
            origin = parse_origin(values[0])
        except InvalidOriginError:
            return OriginVerdict.REFUSED
        return OriginVerdict.ALLOWED if origin in self._allowed else OriginVerdict.REFUSED
