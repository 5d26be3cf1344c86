"""From the options that say where the server is and who we are, to what a client needs."""

from __future__ import annotations

from pathlib import Path

from rtcli.client.connection import Connection
from rtcli.client.credentials import TokenSource, resolve_token
from rtcli.client.endpoint import parse_endpoint
from rtcli.client.http import parse_headers
from rtcli.client.tls import TlsOptions
from rtcli.terminal.console import console


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
