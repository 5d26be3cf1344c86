"""From the arguments of a program to what a connection needs: an address, a token, fields, TLS."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rtcli.client.credentials import TokenFunction, TokenSource, require_token, resolve_token
from rtcli.client.endpoint import Endpoint, parse_endpoint
from rtcli.client.http import TlsOptions, parse_headers
from rtcli.client.proxies import proxy_for
from rtcli.client.secret_files import check_token
from rtcli.errors import RtcliError
from rtcli.library.errors import RefusedError, UsageError, for_programs, raised_for_programs
from rtcli.protocol.proxies import Proxy

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

_log = logging.getLogger("rtcli")


class FoundToken:
    """The token that the command line would find: of the environment, or of this machine's own server.

    As long as there is none, it is looked for again: a new server makes a key.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.source: TokenSource | None = None

    def __call__(self) -> str | None:
        """Return the token for the next connection, or None."""
        if self.source is None:
            self.source = resolve_token(self._endpoint, env=os.environ, warn=_log.warning)
        return None if self.source is None else self.source.token()


@dataclass(frozen=True)
class Access:
    """A server, and how to reach it."""

    endpoint: Endpoint
    token: TokenFunction = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    context: ssl.SSLContext | None
    proxy: Proxy | None

    def explained(self, error: RtcliError) -> RtcliError:
        """The error as a program gets it: if there was no token, one that says how to give it."""
        missing = isinstance(self.token, FoundToken) and self.token.source is None
        raised = for_programs(error)
        if not missing or not isinstance(raised, RefusedError):
            return raised
        try:
            require_token(None, self.endpoint)
        except RtcliError as without:
            hint = "give token=, or set RTCLI_TOKEN; on this machine, start the server first: rtcli serve"
            explained = RefusedError(without.message, hint=hint, code="no_token")
            explained.__cause__ = without
            return explained
        return raised


def make_access(
    url: str,
    *,
    token: str | TokenFunction | None,
    headers: Headers,
    ssl_context: ssl.SSLContext | None,
    proxy: str | None,
    of_stream: bool = False,
) -> Access:
    """Read and check the arguments. Raises UsageError.

    Without a `token`, one is looked for; but not for the streams of other servers, whose business it is not.
    """
    with raised_for_programs():
        endpoint = parse_endpoint(url)
        context = ssl_context
        if context is None and endpoint.secure:
            context = TlsOptions().context()
        finds = endpoint.is_rtcli_stream or not of_stream
        way = proxy_for(endpoint, os.environ, proxy, origin="proxy=")
        return Access(endpoint, _token_function(token, endpoint, finds), _fields(headers), context, way)


def _token_function(token: str | TokenFunction | None, endpoint: Endpoint, finds: bool) -> TokenFunction:
    if isinstance(token, str):
        checked = check_token(token.strip(), "token=")
        return lambda: checked
    if token is not None:
        return token
    return FoundToken(endpoint) if finds else lambda: None


def _fields(headers: Headers) -> tuple[tuple[str, str], ...]:
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if any(name.startswith("@") for name, _ in pairs):  # on the command line, a file
        raise UsageError("a header's name cannot begin with @", code="usage")
    return tuple(parse_headers([f"{name}: {value}" for name, value in pairs]))
