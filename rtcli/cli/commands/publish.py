"""`rtcli publish`: messages and events from arguments or a pipe, over HTTP."""

from __future__ import annotations

import os
import secrets
import stat
import time
from contextlib import aclosing
from typing import Annotated

import typer

from rtcli.apps.publish import PublishRun, Texts, argument_texts, batches, line_texts, make_target, whole_text
from rtcli.cli import options, signals
from rtcli.cli.bundles import takes_bundles
from rtcli.cli.connection import ConnectionOptions, make_connection
from rtcli.cli.http_requests import open_server, report_retry
from rtcli.cli.limits import Limit
from rtcli.client.connection import Connection
from rtcli.client.publishing import Publisher
from rtcli.errors import CliError
from rtcli.terminal.console import console

app = options.new_app()


@app.command(
    epilog=options.examples(
        "rtcli publish --room general 'the build is green'",
        "tail -f log | rtcli publish --room ops",
        "git log -1 | rtcli publish --room ops --whole --ack",
        "rtcli publish --event order.paid --user 7 '{\"order\": 12}'",
        "rtcli publish --event maintenance",
    )
)
@takes_bundles()
def publish(
    text: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT", help="Messages, or an event's data (JSON). Without it: stdin's lines."
        ),
    ] = None,
    *,
    room: options.Rooms = None,
    event: Annotated[
        str | None, typer.Option("--event", "-e", metavar="NAME", help="Publish an event of this name.")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="ID", help="With --event: to this user. Without it: to everyone."),
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="All of stdin is one text, not each line.")] = False,
    ack: Annotated[bool, typer.Option("--ack", help="Print each position in the log.")] = False,
    timeout: options.Timeout = None,
    server: ConnectionOptions,
    console_options: options.ConsoleOptions,
) -> int:
    """Publish messages to rooms, or events to a user or to everyone. Ends with 0 when all are in the log."""
    target = make_target(room, event, user)
    if text and whole:
        raise CliError("--whole is about stdin, and there are texts as arguments", hint="leave out one")
    from_stdin = not text and (event is None or whole or _stdin_is_data())
    if from_stdin and console.stdin_is_tty and not whole:
        console.info("reading messages from the terminal, one a line; Ctrl-D ends it")
    connection = make_connection(server, scope="publish")
    run = PublishRun(target, ack or console_options.json, id_prefix=secrets.token_hex(5), now=time.time)
    texts = argument_texts(text or ["{}"])
    if from_stdin:
        texts = whole_text() if whole else line_texts()
    with connection.explaining_refusal():
        return signals.run(Limit(timeout=timeout).apply(_publish(run, connection, texts, server.wait)))


def _stdin_is_data() -> bool:
    """Whether stdin is a pipe or a file. From a terminal or cron, an event without data is published."""
    try:
        return not stat.S_ISCHR(os.fstat(0).st_mode)
    except OSError:
        return False


async def _publish(run: PublishRun, connection: Connection, texts: Texts, wait_s: float | None) -> int:
    async with open_server(connection, wait_s) as (server, reconnect):
        publisher = Publisher(server, reconnect, on_retry=report_retry)
        await publisher.probe()  # before stdin is read: no line is lost if there is no server
        try:
            async with aclosing(batches(texts, run.parts)) as joined:
                async for batch in joined:
                    for part, result in zip(batch, await publisher.publish(batch), strict=True):
                        run.on_result(part, result)
        except CliError:
            run.warn()
            raise
    return run.end()
