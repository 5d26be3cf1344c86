"""From the options that say where the server is and who we are, to what a client needs."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rtcli.client.credentials import TokenSource, require_token, resolve_token
from rtcli.client.endpoint import Endpoint, parse_endpoint
from rtcli.client.http import parse_headers
from rtcli.client.tls import TlsOptions
from rtcli.errors import CliError, Exit
from rtcli.protocol.rooms import is_valid_room
from rtcli.terminal.console import console


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


def check_room(name: str) -> str:
    """Return a room's name. Raises CliError (2) when there can be no such room."""
    if not is_valid_room(name):
        raise CliError(
            f"{name!r} cannot be a room",
            hint='1 to 128 printable characters, no white space, none of: , = # ? % " ~',
        )
    return name


def make_connection(
    url: str,
    *,
    token_file: str | None = None,
    secret_file: Path | None = None,
    as_name: str | None = None,
    headers: list[str] | None = None,
    cacert: Path | None = None,
    cert: Path | None = None,
    key: Path | None = None,
    insecure: bool = False,
    find_token: bool = True,
    scope: str | None = None,
) -> Connection:
    """Read the options; raises CliError (2) for what cannot be used.

    Without `find_token` only an explicit file or key is used: a token of ours is nothing for foreign servers.
    `scope` is for a token that is signed here.
    """
    endpoint = parse_endpoint(url)
    tls = TlsOptions(cacert, cert, key, insecure)
    if endpoint.secure:
        tls.context()  # what is wrong with the files is told now
    if insecure:
        console.warning("--insecure: anybody on the way may read and change what is said")

    def find() -> TokenSource | None:
        if not find_token and token_file is None and secret_file is None:
            return None
        return resolve_token(
            endpoint,
            token_file=token_file,
            secret_file=secret_file,
            as_name=as_name,
            env=console.env,
            warn=console.warning,
            scope=scope,
        )

    return Connection(endpoint, tls, parse_headers(headers), find, find_token, find())
