"""From the options that say where the server is and who we are, to the connection that a client needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from rtcli.cli import options
from rtcli.client.connection import Connection
from rtcli.client.contexts import Context, Contexts
from rtcli.client.credentials import TokenSource, resolve_token
from rtcli.client.endpoint import mask, parse_endpoint
from rtcli.client.http import TlsOptions, parse_headers
from rtcli.client.proxies import proxy_for
from rtcli.errors import CliError
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
        str | None,
        typer.Option(
            "--url",
            "-u",
            envvar="RTCLI_URL",
            metavar="URL",
            help="The server: http(s)://, ws(s):// or host:port.  "
            f"[default: the context's, or {DEFAULT_URL}]",
        ),
    ] = None
    context: Annotated[
        str | None,
        typer.Option(
            "--context",
            envvar="RTCLI_CONTEXT",
            metavar="NAME",
            help="The deployment that `rtcli context set NAME` has described; '' is none.",
        ),
    ] = None
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
    proxy: Annotated[
        str | None,
        typer.Option(
            "--proxy",
            metavar="URL|none",
            help="Go through this HTTP proxy.  "
            "[default: the context's, or HTTPS_PROXY, HTTP_PROXY, ALL_PROXY]",
        ),
    ] = None


def with_context(given: ConnectionOptions, env: Mapping[str, str]) -> tuple[ConnectionOptions, str]:
    """Fill in what a context says, and its name; the name is empty when no context counts.

    A context is one deployment: of one that is for another server than the URL, nothing counts, so that a
    token goes to no other server. Options go before the environment, and that before the context that is
    selected. Raises CliError (2), also when options name two servers.
    """
    contexts = Contexts(env)
    is_option = given.context not in {None, env.get("RTCLI_CONTEXT")}  # Typer reads variables like options
    if is_option and given.context and given.url == env.get("RTCLI_URL"):
        given = replace(given, url=None)
    name = contexts.selected() if given.context is None else given.context
    if not name:
        return given, ""
    context = contexts.read(name)
    if given.url is not None and not _same_server(given.url, context):
        if is_option:
            raise CliError(
                f"the context {name} is {context.url}, and --url {mask(given.url)} another server",
                hint="leave out one; to give a URL without any context: --context ''",
            )
        return given, ""
    return _filled(given, context, env), name


def _same_server(url: str, context: Context) -> bool:
    return parse_endpoint(url).base == context.endpoint.base


def _filled(given: ConnectionOptions, context: Context, env: Mapping[str, str]) -> ConnectionOptions:
    url = context.url if given.url is None else given.url
    filled = replace(given, url=url, insecure=given.insecure or context.insecure)
    filled = replace(filled, proxy=given.proxy or context.proxy)
    filled = replace(filled, cacert=given.cacert or _path(context.cacert))
    if given.cert is None and given.key is None:
        filled = replace(filled, cert=_path(context.cert), key=_path(context.key))
    if not given.token_file and given.secret_file is None and not env.get("RTCLI_TOKEN", "").strip():
        filled = replace(filled, token_file=context.token_file, secret_file=_path(context.secret_file))
        filled = replace(filled, as_name=given.as_name or context.as_name)
    return filled


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def make_stream_connection(given: ConnectionOptions, stream_url: str | None) -> Connection:
    """Read the options of a command that follows an event stream: of our server, or any at `stream_url`."""
    if stream_url is None:
        return make_connection(given)
    is_ours = parse_endpoint(stream_url).is_rtcli_stream
    return make_connection(replace(given, url=stream_url), find_token=is_ours)


def make_connection(
    given: ConnectionOptions, *, find_token: bool = True, scope: str | None = None
) -> Connection:
    """Read the options; raises CliError (2) for what cannot be used.

    Without `find_token` only a file or key that an option names is used: what is in the environment is for
    our servers, and no business of others. `scope` is for a token that is signed here.
    """
    given, _name = with_context(given, console.env)
    endpoint = parse_endpoint(DEFAULT_URL if given.url is None else given.url)
    tls = TlsOptions(given.cacert, given.cert, given.key, given.insecure)
    if endpoint.secure:
        tls.context()  # report now what is wrong with the files
    proxy = proxy_for(endpoint, console.env, given.proxy)
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

    headers = parse_headers(given.header)
    return Connection(endpoint, tls, headers, find, find_token, find(), given.proxy, proxy)
