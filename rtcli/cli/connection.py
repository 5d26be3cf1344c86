"""From the options that say where the server is and who we are, to the connection that a client needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rtcli.cli import options
from rtcli.client.connection import Connection
from rtcli.client.credentials import TokenSource, resolve_token
from rtcli.client.endpoint import parse_endpoint
from rtcli.client.http import TlsOptions, parse_headers
from rtcli.terminal.console import console

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class ConnectionOptions:
    """Where the server is, who we are there, and how to reach it."""

    wait: Annotated[
        float | None,
        typer.Option(
            "--wait",
            parser=options.duration,
            metavar="DUR",
            help="Keep trying the first connection for that long.",
        ),
    ] = None
    url: Annotated[
        str,
        typer.Option(
            "--url",
            "-u",
            envvar="RTCLI_URL",
            metavar="URL",
            help="The server: http(s)://, ws(s):// or host:port.",
        ),
    ] = DEFAULT_URL
    token_file: options.TokenFile = None
    secret_file: options.SecretFile = None
    as_name: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="Name to go by, when rtcli signs the token itself."),
    ] = None
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header", "-H", metavar="'K: V'", help="Extra request header, or @FILE with one a line."
        ),
    ] = None
    cacert: Annotated[
        Path | None, typer.Option("--cacert", metavar="FILE", help="Trust the certificates in FILE (PEM).")
    ] = None
    cert: Annotated[Path | None, typer.Option("--cert", metavar="FILE", help="Client certificate (PEM).")] = (
        None
    )
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Key of the client certificate (PEM).")
    ] = None
    insecure: options.Insecure = False


def make_connection(
    given: ConnectionOptions, *, find_token: bool = True, scope: str | None = None
) -> Connection:
    """Read the options; raises CliError (2) for what cannot be used.

    Without `find_token` only a file or key that an option names is used: what is in the environment is for
    our servers, and no business of others. `scope` is for a token that is signed here.
    """
    endpoint = parse_endpoint(given.url)
    tls = TlsOptions(given.cacert, given.cert, given.key, given.insecure)
    if endpoint.secure:
        tls.context()  # report now what is wrong with the files
    if given.insecure:
        console.warning("--insecure: anybody on the way may read and change what is said")

    # Typer reads RTCLI_TOKEN_FILE as if it were the option.
    from_option = given.token_file not in {None, console.env.get("RTCLI_TOKEN_FILE")}

    def find() -> TokenSource | None:
        if not find_token and not from_option and given.secret_file is None:
            return None
        return resolve_token(
            endpoint,
            token_file=given.token_file,
            secret_file=given.secret_file,
            as_name=given.as_name,
            env=console.env,
            warn=console.warning,
            scope=scope,
        )

    return Connection(endpoint, tls, parse_headers(given.header), find, find_token, find())
