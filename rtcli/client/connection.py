"""A server and how to reach it: its address, TLS, extra headers, and where tokens come from."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rtcli.client.credentials import TokenSource, require_token
from rtcli.client.endpoint import Endpoint
from rtcli.client.tls import TlsOptions
from rtcli.errors import CliError, Exit


@dataclass
class Connection:
    """A server, and how to talk to it."""

    endpoint: Endpoint
    tls: TlsOptions
    headers: list[tuple[str, str]]
    find_source: Callable[[], TokenSource | None]
    ours: bool  # a server of ours, for which tokens are looked for
    source: TokenSource | None  # None: no token was found, and the server will say whether it wants one

    def token(self) -> str | None:
        """The token for the next connection. A server that has just started may have made the key for it."""
        if self.source is None:
            self.source = self.find_source()
        return None if self.source is None else self.source.token()

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context, or None for plain connections."""
        return self.tls.context() if self.endpoint.secure else None

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Say how to give a token when the server refused us and there was none."""
        try:
            yield
        except CliError as error:
            if error.exit_code == Exit.AUTH and self.ours:
                require_token(self.source, self.endpoint)
            raise
