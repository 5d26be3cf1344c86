"""`rtcli members`: who is in a room."""

from __future__ import annotations

from typing import Annotated

import typer

from rtcli.apps.reading import Reader
from rtcli.cli import options
from rtcli.cli.asking import read
from rtcli.cli.bundles import takes_bundles
from rtcli.cli.connection import ConnectionOptions
from rtcli.client.validation import check_room
from rtcli.terminal.console import console
from rtcli.terminal.escaping import escape

app = options.new_app()


@app.command(epilog=options.examples("rtcli members general", "rtcli members general --json"))
@takes_bundles()
def members(
    room: Annotated[str, typer.Argument(metavar="ROOM", help="The room.")],
    *,
    timeout: options.Timeout = None,
    server: ConnectionOptions,
    console_options: options.ConsoleOptions,
) -> int:
    """List who is in a room: the user's id, a tab, and the name. The first 200 are listed."""
    room = check_room(room)

    async def act(reader: Reader) -> None:
        found = await reader.members(room)
        for member in found.members:
            if console_options.json:
                record = {"type": "member", "room": room, "user": str(member.user_id), "name": member.name}
                console.write_json(record)
            else:
                console.write_line(f"{escape(str(member.user_id))}\t{escape(member.name)}")
        if found.member_count > len(found.members):
            console.status(f"{found.member_count} members; these are the first {len(found.members)}")

    return read(server, timeout, act)
