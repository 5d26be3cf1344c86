"""`rtcli rooms`: which rooms have members."""

from __future__ import annotations

from rtcli.apps.reading import Reader
from rtcli.cli import options
from rtcli.cli.asking import read
from rtcli.cli.bundles import takes_bundles
from rtcli.cli.connection import ConnectionOptions
from rtcli.terminal.console import console
from rtcli.terminal.escaping import escape

app = options.new_app()


@app.command(epilog=options.examples("rtcli rooms", "rtcli rooms --json"))
@takes_bundles()
def rooms(
    *,
    timeout: options.Timeout = None,
    server: ConnectionOptions,
    console_options: options.ConsoleOptions,
) -> int:
    """List the rooms that have members and that you may join: the number of members, a tab, and the room."""

    async def act(reader: Reader) -> None:
        for room in await reader.rooms():
            if console_options.json:
                console.write_json({"type": "room", "room": room.room, "member_count": room.member_count})
            else:
                console.write_line(f"{room.member_count}\t{escape(room.room)}")

    return read(server, timeout, act)
