"""A server and how to reach it: its address, TLS, extra headers, and where tokens come from."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rtcli.client.credentials import TokenFunction, TokenSource, require_token
from rtcli.client.endpoint import Endpoint
from rtcli.client.http import CONNECT_TIMEOUT_S, TlsOptions
from rtcli.errors import Exit, RtcliError
from rtcli.protocol.proxies import Proxy


@dataclass
class Connection:
    """A server, and what a client needs for connections to it."""

    endpoint: Endpoint
    tls: TlsOptions
    headers: list[tuple[str, str]]
    find_source: Callable[[], TokenSource | None]
    is_rtcli: bool  # an rtcli server: a token for it is looked up
    source: TokenSource | None  # None: no token was found; the server may not need one
    given_proxy: str | None = None  # as it was given; None: the environment decides
    proxy: Proxy | None = None

    def token(self) -> str | None:
        """The token for the next connection. If there was none, look again: a new server makes a key."""
        if self.source is None:
            self.source = self.find_source()
        return None if self.source is None else self.source.token()

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context, or None for plain connections."""
        return self.tls.context() if self.endpoint.secure else None

    @contextmanager
    def explaining_refusal(self) -> Iterator[None]:
        """If the server refuses us and there was no token, raise the error that says how to give one."""
        try:
            yield
        except RtcliError as error:
            if error.exit_code == Exit.AUTH and self.is_rtcli:
                require_token(self.source, self.endpoint)
            raise


@dataclass(frozen=True)
class WebSocketTarget:
    """Where a WebSocket connects to, and how. `token` is called for each connection."""

    url: str  # to which the client adds what it wants of events
    where: str  # host:port, for people
    token: TokenFunction = field(repr=False)
    ssl: ssl.SSLContext | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    proxy: Proxy | None = None
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    ping_interval_s: float = 10.0  # RFC 6455 pings; without an answer in that time the connection is lost
