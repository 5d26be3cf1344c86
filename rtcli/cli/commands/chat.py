"""`rtcli chat`: talk in rooms, on a terminal or through a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Annotated

import typer

import rtcli
from rtcli.apps import DEFAULT_ROOM
from rtcli.apps.chat.pipe import Pipe, PipeOptions
from rtcli.apps.chat.plain import PlainChat
from rtcli.cli import options, signals
from rtcli.cli.bundles import takes_bundles
from rtcli.cli.connection import ConnectionOptions, make_connection
from rtcli.cli.limits import EndOptions
from rtcli.client.credentials import development_key_path
from rtcli.client.validation import check_room
from rtcli.errors import CliError
from rtcli.protocol.messages import format_timestamp
from rtcli.terminal.console import console

SCREEN_HISTORY = 20

MakeClient = Callable[[], rtcli.Client]  # inside the event loop

app = options.new_app()


@dataclass(frozen=True)
class ChatOptions:
    """How to talk."""

    history: Annotated[
        int | None,
        typer.Option(
            "--history", min=0, max=500, metavar="N", help="Show the last N messages first (a terminal: 20)."
        ),
    ] = None
    listen: Annotated[bool, typer.Option("--listen", help="Only listen; stdin is not touched.")] = False
    linger: Annotated[
        float,
        typer.Option(
            "--linger",
            parser=options.duration_or_forever,
            metavar="DUR",
            help="In a pipe: stay that long, or `forever`, after the end of stdin.",
        ),
    ] = 0.0
    ack_timeout: Annotated[
        float,
        typer.Option(
            "--ack-timeout",
            parser=options.duration,
            metavar="DUR",
            help="In a pipe: wait that long for the last acks.",
        ),
    ] = 30.0
    plain: Annotated[bool, typer.Option("--plain", help="On a terminal: lines only, no status line.")] = False
    no_typing: Annotated[bool, typer.Option("--no-typing", help="Do not tell others that you type.")] = False
    typing_events: Annotated[bool, typer.Option("--typing-events", help="With --json: also who types.")] = (
        False
    )


@app.command(
    epilog=options.examples(
        "rtcli chat --room general",
        "printf 'one\\ntwo\\n' | rtcli chat --room general",
        "rtcli chat --listen --json --room general | jq -r .text",
        "echo ping | rtcli chat --count 1 --linger 10s --as bot",
    )
)
@takes_bundles(first=("room", "as_name"))
def chat(
    *,
    room: options.Rooms = None,
    how: ChatOptions,
    end: EndOptions,
    server: ConnectionOptions,
    console_options: options.ConsoleOptions,
) -> int:
    """Talk in rooms. On a terminal interactively; in a pipe, lines become messages and messages lines."""
    if end.timeout is not None and end.count is None:
        raise CliError("--timeout needs --count", hint="to end after a time with 0: --duration")
    rooms = tuple(dict.fromkeys(check_room(name) for name in room or [DEFAULT_ROOM]))
    connection = make_connection(server)

    def make_client() -> rtcli.Client:
        return rtcli.connect(
            connection.endpoint.url,
            token=connection.token,
            headers=connection.headers,
            ssl_context=connection.ssl_context(),
            proxy=connection.given_proxy,
            wait_s=server.wait or 0.0,
        )

    mode = _choose_mode(listen=how.listen, plain=how.plain, json=console_options.json)
    if mode is Mode.SCREEN:
        main = _run_screen(make_client, rooms, how)
    elif mode is Mode.LINES:
        main = _run_lines(make_client, rooms, how)
    else:
        pipe_options = PipeOptions(
            rooms=rooms,
            read_stdin=mode is Mode.PIPE,
            json=console_options.json,
            typing_events=how.typing_events,
            history=how.history or 0,
            count=end.count,
            linger_s=how.linger,
            ack_timeout_s=how.ack_timeout,
        )
        main = _run_pipe(make_client, pipe_options)
    with connection.explaining_refusal():
        return signals.run(end.limit().apply(main))


class Mode(Enum):
    """The ways to run a chat."""

    SCREEN = auto()
    LINES = auto()
    PIPE = auto()
    LISTEN = auto()


def _choose_mode(*, listen: bool, plain: bool, json: bool) -> Mode:
    """How to run, from what the streams are: each one is asked by itself."""
    if listen:
        return Mode.LISTEN
    if not console.stdin_is_tty:
        return Mode.PIPE
    if json or not console.stdout_is_tty:
        return Mode.LISTEN  # a person cannot answer what is written into a pipe
    return Mode.LINES if plain or console.is_dumb else Mode.SCREEN


def _screen_history(how: ChatOptions) -> int:
    return SCREEN_HISTORY if how.history is None else how.history


async def _run_pipe(make_client: MakeClient, pipe_options: PipeOptions) -> int:
    return await Pipe(pipe_options, console, lambda: format_timestamp(time.time())).run(make_client())


async def _run_lines(make_client: MakeClient, rooms: tuple[str, ...], how: ChatOptions) -> int:
    return await PlainChat(rooms, _screen_history(how), console, make_client()).run()


async def _run_screen(make_client: MakeClient, rooms: tuple[str, ...], how: ChatOptions) -> int:
    from rtcli.apps.chat.screen import Screen, ScreenOptions  # noqa: PLC0415 - prompt_toolkit is slow to import

    screen_options = ScreenOptions(
        rooms=rooms,
        history=_screen_history(how),
        typing=not how.no_typing,
        history_file=_history_file(console.env),
    )
    return await Screen(screen_options, console, make_client()).run()


def _history_file(env: Mapping[str, str]) -> Path | None:
    """Where what was typed is kept: the user's state directory, if there is one."""
    try:
        return development_key_path(env).with_name("chat-history")
    except CliError:
        return None
