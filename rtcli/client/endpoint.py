"""The address of a server: parses the URL that a person writes, and builds URLs from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

from rtcli.errors import CliError
from rtcli.protocol.paths import EVENT_STREAM_PATH, NOTIFICATION_STREAM_PATH
from rtcli.protocol.proxies import is_loopback

_SECURE = {"http": False, "ws": False, "https": True, "wss": True}
_BARE = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^/:\s@?#\[\]]*):(\d{1,5})(/.*)?")
_SHAPE = "a URL is http(s)://host:port or ws(s)://host:port, or host:port"


@dataclass(frozen=True)
class Endpoint:
    """A server's address. `path` is empty when none was given: then the paths of rtcli servers are used."""

    secure: bool
    host: str  # ASCII, without brackets
    port: int
    path: str = ""  # with its query

    @property
    def authority(self) -> str:
        """`host:port` for people, without user, password and query."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, judged by its spelling: no name is resolved."""
        return is_loopback(self.host)

    @property
    def is_rtcli_stream(self) -> bool:
        """Whether this is, by its path or by having none, the event stream of an rtcli server."""
        return self.path.partition("?")[0] in {"", EVENT_STREAM_PATH, NOTIFICATION_STREAM_PATH}

    @property
    def base(self) -> str:
        """`http://host:port`, without a path."""
        return f"{'https' if self.secure else 'http'}://{self.authority}"

    @property
    def url(self) -> str:
        """`http://host:port` and the path that was given."""
        return f"{self.base}{self.path}"

    def http_url(self, path: str) -> str:
        """The HTTP URL of the path that was given, else of `path`."""
        return f"{self.base}{_rooted(self.path or path)}"

    def ws_url(self, path: str) -> str:
        """The WebSocket URL of the path that was given, else of `path`."""
        return f"{'wss' if self.secure else 'ws'}://{self.authority}{_rooted(self.path or path)}"


def _rooted(path: str) -> str:
    """The path with a slash in front: without one, it would be read as a part of the host."""
    return path if path.startswith("/") else f"/{path}"


def parse_endpoint(text: str) -> Endpoint:
    """Read a server's URL. Raises CliError (2), in which a password is masked."""
    if not text or any(character.isspace() or not character.isprintable() for character in text):
        raise _bad(text, "it is empty or has white space in it")
    bare = _BARE.fullmatch(text)
    if bare is not None:
        text = f"http://{bare[1] or '127.0.0.1'}:{bare[2]}{bare[3] or ''}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _bad(text, str(error)) from None
    secure = _check(text, parts)
    path = parts.path if parts.path != "/" else ""
    path = quote(path, safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        path = f"{path or '/'}?{parts.query}"
    return Endpoint(secure, _ascii_host(text, parts), port or (443 if secure else 80), path)


def _check(text: str, parts: SplitResult) -> bool:
    secure = _SECURE.get(parts.scheme)
    if secure is None:
        raise _bad(text, f"{parts.scheme}:// is not a scheme of ours" if parts.scheme else "it has no scheme")
    if "@" in parts.netloc:
        raise CliError(
            f"{mask(text)}: no user or password in a URL",
            hint="a token comes from --token-file or RTCLI_TOKEN",
        )
    if not parts.hostname:
        raise _bad(text, "it has no host")
    if parts.fragment or text.endswith("#"):
        raise _bad(text, "it has a #fragment, which is never sent")
    if parts.port == 0:
        raise _bad(text, "port 0 cannot be connected to")
    return secure


def _ascii_host(text: str, parts: SplitResult) -> str:
    host = parts.hostname or ""
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        raise _bad(text, "its host is not a name") from None


def mask(text: str) -> str:
    """A URL for people: what is before `@` in it is masked."""
    return re.sub(r"(^|//)[^/]*@", r"\1***@", text)


def _bad(text: str, why: str) -> CliError:
    return CliError(f"{mask(text)!r} is not a server's URL: {why}", hint=_SHAPE)
