"""`rtcli revoke`: end a token, or all that a user got before a time."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from rtcli.apps.administration import Administrator, RevokeOptions, revocation
from rtcli.cli import options
from rtcli.cli.asking import administer
from rtcli.cli.bundles import takes_bundles
from rtcli.cli.connection import ConnectionOptions
from rtcli.client.secret_files import read_token_argument
from rtcli.terminal.console import console
from rtcli.terminal.escaping import escape

app = options.new_app()


@app.command(
    epilog=options.examples(
        "rtcli revoke stolen.token",
        "rtcli revoke --jti 4f1c --until 2026-06-01T00:00:00Z",
        "rtcli revoke --user 7",
        "rtcli revoke --user 7 --issued-before 2026-05-01T09:30:00Z",
    )
)
@takes_bundles()
def revoke(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="The file of the token to revoke; '-' is stdin.")
    ] = None,
    *,
    jti: Annotated[
        str | None, typer.Option("--jti", metavar="ID", help="The token's own name (the claim jti).")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="ID", help="All tokens that this user has got so far.")
    ] = None,
    issued_before: Annotated[
        str | None,
        typer.Option("--issued-before", metavar="TIME", help="With --user: only those issued before TIME."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="TIME",
            help="When the last of these tokens has expired, so that it can be forgotten. "
            "Without it: the expiry of the token in FILE, else ten years.",
        ),
    ] = None,
    timeout: options.Timeout = None,
    server: ConnectionOptions,
    console_options: options.ConsoleOptions,
) -> int:
    """Accept a token no more, on all instances, and close what was opened with it. It takes the scope admin.

    TIME is like 2026-05-01T09:30:00Z. The server keeps it until then, also over restarts when its log is in
    SQLite or Redis.
    """
    token = None if file is None else read_token_argument(file, warn=console.warning)
    body = revocation(RevokeOptions(token, jti, user, issued_before, until), now=time.time())

    async def act(administrator: Administrator) -> None:
        until = (await administrator.revoke(body)).until
        if console_options.json:
            console.write_json({"type": "revoked", **body, "until": until})
        else:
            console.write_line(f"revoked until {escape(until)}")

    return administer(server, timeout, act)
