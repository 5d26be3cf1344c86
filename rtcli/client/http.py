"""HTTP clients with TLS, extra headers, proxies and deadlines, as the options say."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx

from rtcli._version import __version__
from rtcli.client.endpoint import Endpoint
from rtcli.client.proxies import ProxiedTransport
from rtcli.errors import CliError
from rtcli.protocol.content_coding import ACCEPTED
from rtcli.protocol.proxies import Proxy

CONNECT_TIMEOUT_S = 10.0
USER_AGENT = f"rtcli/{__version__}"
# RFC 9110 section 5.1 (token) and 5.5 (field values: no control characters).
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")


@dataclass(frozen=True)
class TlsOptions:
    """The options `--cacert --cert --key -k`. Without them, the system's certificate store is trusted."""

    cacert: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """Make the context for all connections. Raises CliError (2) for files that cannot be used."""
        if self.key is not None and self.cert is None:
            raise CliError("--key needs --cert", hint="both, PEM; or one file with both as --cert")
        context = self._trusting()
        if self.cert is not None:
            try:
                context.load_cert_chain(self.cert, self.key)
            except (OSError, ssl.SSLError) as error:
                raise _unusable_file("--cert", self.cert, error) from None
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _trusting(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=None if self.cacert is None else str(self.cacert))
        except (OSError, ssl.SSLError) as error:
            raise _unusable_file("--cacert", self.cacert, error) from None


def _unusable_file(option: str, path: Path | None, error: Exception) -> CliError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return CliError(f"{option} {path}: {why}", hint="a PEM file is wanted")


def parse_headers(given: list[str] | None) -> list[tuple[str, str]]:
    """Read `-H 'K: V'` and `-H @FILE` (one field a line). Raises CliError (2) without showing values."""
    fields: list[tuple[str, str]] = []
    for text in given or []:
        lines = _lines_of(Path(text[1:])) if text.startswith("@") else [text]
        for line in lines:
            match = _FIELD.fullmatch(line)
            if match is None or not match[2].isascii():
                raise CliError(
                    "a header is not 'Name: value'", hint="-H 'X-Trace: 7', or -H @FILE with one a line"
                )
            fields.append((match[1], match[2]))
    return fields


def _lines_of(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8 text"
        raise CliError(f"-H @{path}: {why}", hint="a file with one 'Name: value' a line") from None


def no_cookies() -> CookieJar:
    """A jar that takes nothing: a server may not store in this process, nor tell one user from another."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


def make_http(
    endpoint: Endpoint,
    *,
    context: ssl.SSLContext | None = None,
    headers: Sequence[tuple[str, str]] = (),
    proxy: Proxy | None = None,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    read_timeout_s: float | None = None,
) -> httpx.AsyncClient:
    """Make a client for one server, through a proxy if there is one.

    `context` is for TLS; without it, the system's certificate store is trusted. The client is for `answers`,
    which read bounded answers and follow redirects. No cookie of a server is kept.
    """
    if context is None and endpoint.secure:
        context = TlsOptions().context()
    own = {"user-agent": USER_AGENT, "accept-encoding": ACCEPTED}
    given = {name.lower() for name, _ in headers}
    return httpx.AsyncClient(
        verify=True if context is None else context,
        transport=None if proxy is None else ProxiedTransport(proxy, endpoint.authority, context),
        trust_env=False,
        headers=[*((name, value) for name, value in own.items() if name not in given), *headers],
        cookies=no_cookies(),
        timeout=httpx.Timeout(connect_timeout_s, read=read_timeout_s),
    )
