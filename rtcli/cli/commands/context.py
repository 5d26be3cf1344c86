"""`rtcli context`: named deployments, so that nobody has to type their addresses and files again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from rtcli.cli import options
from rtcli.cli.bundles import takes_bundles
from rtcli.cli.connection import DEFAULT_URL, ConnectionOptions, with_context
from rtcli.client.contexts import Context, Contexts
from rtcli.client.endpoint import parse_endpoint
from rtcli.client.proxies import proxy_for
from rtcli.errors import CliError
from rtcli.terminal.console import console
from rtcli.terminal.escaping import escape

app = options.new_app()

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of a deployment.")]
_SHOWN = ("url", "token", "as_name", "cacert", "cert", "key", "insecure", "proxy")


@dataclass(frozen=True)
class Given:
    """What is said of a deployment; the fields are those of `Context`."""

    url: Annotated[str | None, typer.Option("--url", "-u", metavar="URL", help="The server.")] = None
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="The file that has the token.")
    ] = None
    secret_file: options.SecretFile = None
    as_name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Name to go by, with --secret-file.")
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
    insecure: Annotated[
        bool | None, typer.Option("--insecure/--secure", help="Do not check the server's certificate.")
    ] = None
    proxy: Annotated[
        str | None, typer.Option("--proxy", metavar="URL|none", help="Go through this HTTP proxy.")
    ] = None


@app.command(
    "set",
    epilog=options.examples(
        "rtcli context set staging --url https://rt.staging.example.org --token-file ~/staging.token",
        "rtcli context set staging --cacert staging-ca.pem",
    ),
)
@takes_bundles()
def set_context(name: Name, *, given: Given) -> None:
    """Describe a deployment, or change what is given. It keeps the names of files, and no token."""
    contexts = Contexts(console.env)
    values = {key: _absolute(value) for key, value in vars(given).items() if value is not None}
    if name in contexts.names():
        contexts.write(name, replace(contexts.read(name), **values))
    elif given.url is None:
        raise CliError(f"there is no context {name!r} yet", hint="say where the server is: --url URL")
    else:
        contexts.write(name, Context(**values))
    if contexts.selected() != name:
        console.status(
            f"use it with every command: rtcli context use {name}   (or with one: --context {name})"
        )


@app.command(epilog=options.examples("rtcli context use staging", "rtcli context use ''"))
def use(name: Name) -> None:
    """Use a deployment from now on, where no other is named; '' is none."""
    Contexts(console.env).select(name)


@app.command("list", epilog=options.examples("rtcli context list"))
def list_contexts(as_json: options.Json = False) -> None:
    """List the deployments; a * is before the one that is used."""
    contexts = Contexts(console.env)
    selected = contexts.selected()
    for name in contexts.names():
        url = contexts.read(name).url
        if as_json:
            console.write_json({"type": "context", "name": name, "url": url, "selected": name == selected})
        else:
            console.write_line(f"{'*' if name == selected else ' '} {name}\t{escape(url)}")


@app.command(epilog=options.examples("rtcli context remove staging"))
def remove(name: Name) -> None:
    """Forget a deployment. The files that it names stay."""
    Contexts(console.env).remove(name)


@app.command(epilog=options.examples("rtcli context show", "RTCLI_URL=localhost:9000 rtcli context show"))
def show(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A deployment; without it, what a command would use.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show what a command would use, and where each value comes from."""
    env = console.env
    given = ConnectionOptions(
        url=None if name else env.get("RTCLI_URL") or None,
        context=name or env.get("RTCLI_CONTEXT"),
        token_file=env.get("RTCLI_TOKEN_FILE") or None,
    )
    filled, context = with_context(given, env)
    for setting in _SHOWN:
        value, origin = _setting(setting, given, filled, f"context {context}")
        if as_json:
            console.write_json({"type": "setting", "name": setting, "value": value, "from": origin})
        elif value is not None:
            console.write_line(f"{setting.removesuffix('_name'):<9} {escape(str(value))}  ({origin})")


def _setting(
    name: str, given: ConnectionOptions, filled: ConnectionOptions, context: str
) -> tuple[str | bool | None, str]:
    """A value as it is shown, and where it comes from."""
    if name == "token":
        return _token(given, filled, context)
    if name == "proxy":
        return _proxy(filled, context)
    value = getattr(filled, name)
    if name == "url" and value is None:
        return DEFAULT_URL, "default"
    if not value:
        return None, "default"
    return (value if name == "insecure" else str(value)), "RTCLI_URL" if getattr(given, name) else context


def _token(given: ConnectionOptions, filled: ConnectionOptions, context: str) -> tuple[str | None, str]:
    """Where the token comes from; never the token."""
    if given.token_file:
        return f"the file {given.token_file}", "RTCLI_TOKEN_FILE"
    if console.env.get("RTCLI_TOKEN", "").strip():
        return "the variable itself", "RTCLI_TOKEN"
    if filled.token_file:
        return f"the file {filled.token_file}", context
    if filled.secret_file:
        return f"signed with the key in {filled.secret_file}", context
    return "the development key of this machine, for an address of this machine", "default"


def _proxy(filled: ConnectionOptions, context: str) -> tuple[str | None, str]:
    """The proxy of the context, or what the environment says of this server; without its password."""
    if filled.proxy:
        return filled.proxy, context
    proxy = proxy_for(parse_endpoint(filled.url or DEFAULT_URL), console.env, None)
    return (None, "default") if proxy is None else (proxy.where, proxy.variable)


def _absolute(value: Any) -> Any:  # noqa: ANN401 - a field of `Given` becomes one of `Context`
    return str(value.expanduser().absolute()) if isinstance(value, Path) else value
