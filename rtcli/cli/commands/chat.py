"""`rtcli chat`: talk in rooms, on a terminal or through a pipe."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rtcli.apps.chat.pipe import Pipe, PipeOptions
from rtcli.apps.chat.plain import PlainChat
from rtcli.cli import options, signals
from rtcli.cli.connection import make_connection
from rtcli.cli.limits import Limit
from rtcli.client.backoff import Reconnect
from rtcli.client.connection import Connection
from rtcli.client.credentials import development_key_path
from rtcli.client.events import ClientEvent, Message
from rtcli.client.history import read_history
from rtcli.client.http import make_http
from rtcli.client.validation import check_room
from rtcli.client.websocket import RealtimeClient, WebSocketTarget
from rtcli.errors import CliError
from rtcli.protocol.messages import format_timestamp
from rtcli.protocol.paths import WEBSOCKET_PATH
from rtcli.terminal.console import console

DEFAULT_ROOM = "general"
SCREEN_HISTORY = 20

app = options.new_app()


@app.command(
    epilog=options.examples(
        "rtcli chat --room general",
        "printf 'one\\ntwo\\n' | rtcli chat --room general",
        "rtcli chat --listen --json --room general | jq -r .text",
        "echo ping | rtcli chat --count 1 --linger 10s --as bot",
    )
)
def chat(
    *,
    room: options.Rooms = None,
    as_name: options.AsName = None,
    history: Annotated[
        int | None,
        typer.Option(
            "--history", min=0, max=500, metavar="N", help="Show the last N messages first (a terminal: 20)."
        ),
    ] = None,
    listen: Annotated[bool, typer.Option("--listen", help="Only listen; stdin is not touched.")] = False,
    linger: Annotated[
        float,
        typer.Option(
            "--linger",
            parser=options.duration_or_forever,
            metavar="DUR",
            help="In a pipe: stay that long, or `forever`, after the end of stdin.",
        ),
    ] = 0.0,
    ack_timeout: Annotated[
        float,
        typer.Option(
            "--ack-timeout",
            parser=options.duration,
            metavar="DUR",
            help="In a pipe: wait that long for the last acks.",
        ),
    ] = 30.0,
    plain: Annotated[
        bool, typer.Option("--plain", help="On a terminal: lines only, no status line.")
    ] = False,
    no_typing: Annotated[bool, typer.Option("--no-typing", help="Do not tell others that you type.")] = False,
    typing_events: Annotated[
        bool, typer.Option("--typing-events", help="With --json: also who types.")
    ] = False,
    count: options.Count = None,
    timeout: options.Timeout = None,
    duration: options.Duration = None,
    wait: options.Wait = None,
    url: options.Url = options.DEFAULT_URL,
    token_file: options.TokenFile = None,
    secret_file: options.SecretFile = None,
    header: options.Headers = None,
    cacert: options.CaCert = None,
    cert: options.Cert = None,
    key: options.Key = None,
    insecure: options.Insecure = False,
    json: options.Json = False,
    color: options.ColorWhen = options.ColorChoice.AUTO,  # noqa: ARG001 - the console has it
    quiet: options.Quiet = False,  # noqa: ARG001 - the console has it
    verbose: options.Verbose = 0,  # noqa: ARG001 - the console has it
) -> int:
    """Talk in rooms. On a terminal interactively; in a pipe, lines become messages and messages lines."""
    if timeout is not None and count is None:
        raise CliError("--timeout needs --count", hint="to end after a time with 0: --duration")
    rooms = tuple(dict.fromkeys(check_room(name) for name in room or [DEFAULT_ROOM]))
    connection = make_connection(
        url,
        token_file=token_file,
        secret_file=secret_file,
        as_name=as_name,
        headers=header,
        cacert=cacert,
        cert=cert,
        key=key,
        insecure=insecure,
    )
    way = _choose_way(listen=listen, plain=plain, json=json)
    session = _Session(connection, wait)
    limit = Limit(timeout=timeout, duration=duration)
    shown = SCREEN_HISTORY if history is None and way in (Way.SCREEN, Way.LINES) else history or 0
    if way is Way.SCREEN:
        main = _run_screen(session, rooms, shown, typing=not no_typing)
    elif way is Way.LINES:
        main = _run_lines(session, rooms, shown)
    else:
        pipe_options = PipeOptions(
            rooms=rooms,
            read_stdin=way is Way.PIPE,
            json=json,
            typing_events=typing_events,
            history=shown,
            count=count,
            linger_s=linger,
            ack_timeout_s=ack_timeout,
        )
        main = _run_pipe(session, pipe_options)
    with connection.explaining():
        return signals.run(limit.apply(main))


class Way(Enum):
    """The ways to run a chat."""

    SCREEN = auto()
    LINES = auto()
    PIPE = auto()
    LISTEN = auto()


def _choose_way(*, listen: bool, plain: bool, json: bool) -> Way:
    """How to run, from what the streams are: each one is asked by itself."""
    if listen:
        return Way.LISTEN
    if not console.stdin_is_tty:
        return Way.PIPE
    if json or not console.stdout_is_tty:
        return Way.LISTEN  # nothing is asked where the answer would go into a pipe
    return Way.LINES if plain or console.is_dumb else Way.SCREEN


@dataclass(frozen=True)
class _Session:
    """What a client of this run needs, whichever way it is run."""

    connection: Connection
    wait_s: float | None

    def client(
        self, on_event: Callable[[ClientEvent], None], *, measure_every_s: float | None = None
    ) -> RealtimeClient:
        """Make the client; call it inside the event loop."""
        connection = self.connection
        target = WebSocketTarget(
            url=connection.endpoint.ws_url(WEBSOCKET_PATH),
            where=connection.endpoint.authority,
            token=connection.token,
            ssl=connection.ssl_context(),
            headers=tuple(connection.headers),
            use_proxy=not connection.endpoint.is_loopback,
        )
        return RealtimeClient(
            target,
            reconnect=Reconnect(random.Random(), started=time.monotonic(), wait_s=self.wait_s),  # noqa: S311 - jitter
            id_prefix=secrets.token_hex(5),
            on_event=on_event,
            measure_every_s=measure_every_s,
        )

    async def recall(self, room: str, limit: int) -> list[Message]:
        """Read the last messages of a room over HTTP."""
        connection = self.connection
        endpoint = connection.endpoint
        async with make_http(
            endpoint, tls=connection.tls, headers=connection.headers, read_timeout_s=10.0
        ) as http:
            return await read_history(
                http,
                endpoint.base,
                where=endpoint.authority,
                token=connection.token(),
                room=room,
                limit=limit,
            )


async def _run_pipe(session: _Session, pipe_options: PipeOptions) -> int:
    pipe = Pipe(pipe_options, console, lambda: format_timestamp(time.time()))
    return await pipe.run(session.client(pipe.on_event))


async def _run_lines(session: _Session, rooms: tuple[str, ...], history: int) -> int:
    return await PlainChat(rooms, history, console, session.client, session.recall).run()


async def _run_screen(session: _Session, rooms: tuple[str, ...], history: int, *, typing: bool) -> int:
    from rtcli.apps.chat.screen import MEASURE_S, Screen, ScreenOptions  # noqa: PLC0415 - prompt_toolkit is slow to import

    screen_options = ScreenOptions(
        rooms=rooms, history=history, typing=typing, history_file=_history_file(console.env)
    )
    make_client = partial(session.client, measure_every_s=MEASURE_S)
    screen = Screen(screen_options, console, make_client, session.recall)
    return await screen.run()


def _history_file(env: Mapping[str, str]) -> Path | None:
    """Where what was typed is kept: the user's state directory, if there is one."""
    try:
        return development_key_path(env).with_name("chat-history")
    except CliError:
        return None
