"""`rtcli history`: what was said in a room."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import Annotated

import typer

from rtcli.apps.chat.render import plain_line, record, sentence
from rtcli.apps.reading import MAX_LAST, Page, Reader
from rtcli.cli import options
from rtcli.cli.asking import read
from rtcli.cli.bundles import takes_bundles
from rtcli.cli.connection import ConnectionOptions
from rtcli.client.events import ClientEvent, Gap, Message
from rtcli.client.validation import check_room
from rtcli.errors import CliError
from rtcli.protocol.messages import format_timestamp
from rtcli.protocol.position import InvalidPositionError, Position, parse_position
from rtcli.terminal.console import console

DEFAULT_LAST = 50

app = options.new_app()


@app.command(
    epilog=options.examples("rtcli history general --last 20", "rtcli history general --after k3f9-42 --json")
)
@takes_bundles()
def history(
    room: Annotated[str, typer.Argument(metavar="ROOM", help="The room.")],
    *,
    last: Annotated[
        int | None,
        typer.Option("--last", "-n", min=1, max=MAX_LAST, metavar="N", help="The newest N.  [default: 50]"),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            "--after", metavar="POSITION", help="All after this position: the id of a message in --json."
        ),
    ] = None,
    timeout: options.Timeout = None,
    server: ConnectionOptions,
    console_options: options.ConsoleOptions,
) -> int:
    """Print what was said in a room, oldest first, as far as the server keeps it.

    A line has time, room, name and text, separated by tabs.
    """
    room = check_room(room)
    since = _position(after)
    if since is not None and last is not None:
        raise CliError("--last and --after are two questions", hint="leave out one")

    async def act(reader: Reader) -> None:
        pages = reader.last(room, last or DEFAULT_LAST) if since is None else reader.after(room, since)
        async with aclosing(pages):
            async for page in pages:
                _write(room, page, as_json=console_options.json)

    return read(server, timeout, act)


def _position(text: str | None) -> Position | None:
    try:
        return None if text is None else parse_position(text)
    except InvalidPositionError:
        raise CliError(
            f"--after {text!r} is no position", hint="it is the id of a message: rtcli history ROOM --json"
        ) from None


def _write(room: str, page: Page, *, as_json: bool) -> None:
    events: list[ClientEvent] = [*page.messages]
    if page.gap is not None:
        events.insert(0, Gap(room, None, page.gap))
    for event in events:
        if as_json and (found := record(event, now=format_timestamp(time.time()))) is not None:
            console.write_json(found)
        elif isinstance(event, Message):
            console.write_line(plain_line(event))
        elif (text := sentence(event)) is not None:
            console.status(text)
