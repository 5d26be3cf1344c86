"""Which pages may connect: the whole `Origin` is compared, never a prefix, a suffix or a pattern.

RFC 6455, section 10.2, and RFC 6454. A browser sends the true origin of a script, other programs send what
they like. So the check protects the user of a browser from foreign pages; it is no authentication.
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
    """Not `scheme://host[:port]`. In the configuration this is an error, not an origin that never matches."""


class Origin(NamedTuple):
    """A parsed origin. Without a port in the text, `port` is the default of the scheme, or None."""

    scheme: str
    host: str
    port: int | None


class OriginVerdict(Enum):
    """The result of checking `Origin`. ABSENT: not a browser, so cookies are not read."""

    ABSENT = "absent"
    ALLOWED = "allowed"
    REFUSED = "refused"


def parse_origin(text: str) -> Origin:
    """Parse an origin. Raises InvalidOriginError, also for `null`, for a path and for a trailing slash."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise InvalidOriginError(f"{text!r} is not an origin: write scheme://host or scheme://host:port")
    scheme, host = match[1].lower(), match[2].lower()
    port = int(match[3]) if match[3] else _DEFAULT_PORTS.get(scheme)
    if port is not None and port > 65_535:
        raise InvalidOriginError(f"{text!r} has a port over 65535")
    return Origin(scheme, host, port)


class OriginPolicy:
    """The list of allowed origins. An empty one refuses every page."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = {parse_origin(text) for text in allowed}

    def allow_loopback(self, port: int, *, tls: bool = False) -> None:
        """Allow the pages that this server serves on loopback.

        The host names are fixed and not taken from the request's `Host`: with DNS rebinding, a foreign page
        chooses the `Host`.
        """
        scheme = "https" if tls else "http"
        self._allowed |= {Origin(scheme, host, port) for host in LOOPBACK_HOSTS}

    def check(self, values: Sequence[str]) -> OriginVerdict:
        """Check all `Origin` headers of a request. More than one is refused, whatever their values."""
        if not values:
            return OriginVerdict.ABSENT
        if len(values) > 1:
            return OriginVerdict.REFUSED
        try:
            origin = parse_origin(values[0])
        except InvalidOriginError:
            return OriginVerdict.REFUSED
        return OriginVerdict.ALLOWED if origin in self._allowed else OriginVerdict.REFUSED
