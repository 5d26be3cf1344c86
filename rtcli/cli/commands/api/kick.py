"""`rtcli kick`: close everything that a user has open."""

from __future__ import annotations

from typing import Annotated

import typer

from rtcli.apps.administration import Administrator, check_kick
from rtcli.cli import options
from rtcli.cli.asking import administer
from rtcli.cli.bundles import takes_bundles
from rtcli.cli.connection import ConnectionOptions
from rtcli.terminal.console import console

app = options.new_app()


@app.command(epilog=options.examples("rtcli kick 7", "rtcli kick 7 --stay-away 10m"))
@takes_bundles()
def kick(
    user: Annotated[str, typer.Argument(metavar="USER", help="The user's id.")],
    *,
    stay_away: Annotated[
        float | None,
        typer.Option(
            "--stay-away",
            parser=options.duration,
            metavar="DUR",
            help="Let nothing of the user in for that long, whatever the token. It cannot be taken back.",
        ),
    ] = None,
    timeout: options.Timeout = None,
    server: ConnectionOptions,
    console_options: options.ConsoleOptions,
) -> int:
    """Close all connections and event streams of a user, on all instances. It takes the scope admin.

    Clients do not come back by themselves. Whoever opens them again is let in, unless --stay-away says for
    how long not.
    """
    check_kick(user, stay_away)

    async def act(administrator: Administrator) -> None:
        closed = (await administrator.kick(user, stay_away)).closed
        if console_options.json:
            console.write_json(
                {"type": "kicked", "user": user, "closed": closed, "stay_away_s": stay_away or 0.0}
            )
        else:
            console.write_line(f"closed {closed}")

    return administer(server, timeout, act)
