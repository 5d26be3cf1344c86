"""`rtcli tail-events`: follow rooms over Server-Sent Events, or any SSE endpoint."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import typer

from rtcli.apps.tail.exec import Executor
from rtcli.apps.tail.filters import EventFilter, make_filter
from rtcli.apps.tail.follow import Tail, TailOptions
from rtcli.apps.tail.render import Output
from rtcli.apps.tail.state_file import StateFile, filter_hash
from rtcli.cli import options, signals
from rtcli.cli.connection import make_connection
from rtcli.cli.limits import Limit
from rtcli.client.backoff import Reconnect
from rtcli.client.connection import Connection
from rtcli.client.endpoint import Endpoint, parse_endpoint
from rtcli.client.http import make_http
from rtcli.client.sse import EventStream
from rtcli.client.validation import check_room
from rtcli.errors import CliError
from rtcli.protocol.messages import format_timestamp
from rtcli.protocol.paths import EVENT_STREAM_PATH, NOTIFICATION_STREAM_PATH
from rtcli.terminal.console import console

OUR_IDLE_TIMEOUT_S = 90.0  # three heartbeats of the server's default

app = options.new_app()


class ExecFailure(StrEnum):
    """What to do when the command of --exec fails."""

    STOP = "stop"
    WARN = "warn"


@app.command(
    epilog=options.examples(
        "rtcli tail-events --room general",
        "rtcli tail-events --room general --json | jq .data.content",
        "rtcli tail-events --room general --state seen.json --exec './notify.sh'",
        "rtcli tail-events --room deploys --grep failed --count 1 --timeout 10m",
        "rtcli tail-events https://example.com/any/event-stream",
    )
)
def tail_events(
    stream_url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL", help="Any SSE endpoint. Without a path, or without it (--url): our server's."
        ),
    ] = None,
    *,
    room: options.Rooms = None,
    event: Annotated[
        list[str] | None,
        typer.Option("--event", "-e", metavar="TYPE", help="Only events of this type (repeatable)."),
    ] = None,
    not_event: Annotated[
        list[str] | None,
        typer.Option("--not-event", metavar="TYPE", help="No events of this type (repeatable)."),
    ] = None,
    grep: Annotated[
        str | None,
        typer.Option(
            "--grep", "-g", metavar="REGEX", help="Only if the data matches; case counts if it has capitals."
        ),
    ] = None,
    last_id: Annotated[
        str | None, typer.Option("--last-id", metavar="ID", help="Start after the event with this id.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="FILE", help="Start where FILE says, and keep in it what was shown."),
    ] = None,
    state_reset: Annotated[
        bool, typer.Option("--state-reset", help="Start anew, although FILE is of another server or filter.")
    ] = False,
    no_follow: Annotated[
        bool, typer.Option("--no-follow", help="End when everything up to now was shown.")
    ] = False,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to write an event.")] = Output.DEFAULT,
    exec_command: Annotated[
        str | None,
        typer.Option(
            "--exec", metavar="CMD", help="Run CMD for each event: data on stdin, RTCLI_EVENT_* around it."
        ),
    ] = None,
    exec_fail: Annotated[
        ExecFailure, typer.Option("--exec-fail", help="What if CMD fails.")
    ] = ExecFailure.STOP,
    fail_on_gap: Annotated[
        bool, typer.Option("--fail-on-gap", help="End with 6 when events will not come.")
    ] = False,
    idle_timeout: Annotated[
        float | None,
        typer.Option(
            "--idle-timeout",
            parser=options.duration,
            metavar="DUR",
            help="Silence after which it is lost (ours: 90s).",
        ),
    ] = None,
    count: options.Count = None,
    timeout: options.Timeout = None,
    duration: options.Duration = None,
    wait: options.Wait = None,
    url: options.Url = options.DEFAULT_URL,
    token_file: options.TokenFile = None,
    secret_file: options.SecretFile = None,
    as_name: options.AsName = None,
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
    """Follow the event stream of rooms, or any SSE endpoint; comes back by itself and resumes."""
    if timeout is not None and count is None and not no_follow:
        raise CliError(
            "--timeout needs --count or --no-follow", hint="to end after a time with 0: --duration"
        )
    connection = make_connection(
        url if stream_url is None else stream_url,
        token_file=token_file,
        secret_file=secret_file,
        as_name=as_name,
        headers=header,
        cacert=cacert,
        cert=cert,
        key=key,
        insecure=insecure,
        find_token=stream_url is None or _is_ours(parse_endpoint(stream_url)),
    )
    rooms = room or []
    address = _address(connection, rooms)
    digest = filter_hash(address=address, event=event, not_event=not_event, grep=grep)
    plan = _Plan(
        connection=connection,
        address=address,
        options=TailOptions(
            what=_what(rooms, connection.endpoint.authority),
            ours=_is_ours(connection.endpoint),
            output=Output.JSON if json else output,
            count=count,
            follow=not no_follow,
            fail_on_gap=fail_on_gap,
            stop_on_exec_failure=exec_fail is ExecFailure.STOP,
        ),
        accept=make_filter(event, not_event, grep),
        executor=None if exec_command is None else Executor(exec_command, console.env),
        last_id=_check_id(last_id),
        idle_timeout_s=idle_timeout,
        wait_s=wait,
        limit=Limit(timeout=timeout, duration=duration),
    )
    with connection.explaining():
        return _run(plan, state, digest, reset=state_reset)


@dataclass(frozen=True)
class _Plan:
    """Everything the options said, understood."""

    connection: Connection
    address: str
    options: TailOptions
    accept: EventFilter
    executor: Executor | None
    last_id: str
    idle_timeout_s: float | None
    wait_s: float | None
    limit: Limit


def _run(plan: _Plan, path: Path | None, digest: str, *, reset: bool) -> int:
    if path is None:
        return signals.run(_follow(plan, None))
    state = StateFile(
        path,
        server=plan.connection.endpoint.base,
        filter_digest=digest,
        timestamp=lambda: format_timestamp(time.time()),
        reset=reset,
    )
    try:
        return signals.run(_follow(plan, state))
    finally:
        state.close(now=time.monotonic())


async def _follow(plan: _Plan, state: StateFile | None) -> int:
    connection = plan.connection
    idle_s = OUR_IDLE_TIMEOUT_S if plan.idle_timeout_s is None and plan.options.ours else plan.idle_timeout_s
    async with make_http(
        connection.endpoint, tls=connection.tls, headers=connection.headers, read_timeout_s=idle_s
    ) as http:
        stream = EventStream(
            http,
            plan.address,
            where=connection.endpoint.authority,
            reconnect=Reconnect(random.Random(), started=time.monotonic(), wait_s=plan.wait_s),  # noqa: S311
            token=connection.token,
            last_event_id=(state.last_id if state is not None else None) or plan.last_id,
        )
        tail = Tail(
            stream,
            plan.options,
            console=console,
            accept=plan.accept,
            state=state,
            executor=plan.executor,
            clock=time.monotonic,
            wall=time.time,
        )
        return await plan.limit.apply(tail.run())


def _is_ours(endpoint: Endpoint) -> bool:
    """Whether this address, by its path or by having none, is an event stream of our servers."""
    path = endpoint.path.partition("?")[0]
    return path in {"", EVENT_STREAM_PATH, NOTIFICATION_STREAM_PATH}


def _address(connection: Connection, rooms: list[str]) -> str:
    if rooms and not _is_ours(connection.endpoint):
        raise CliError("--room is for our own servers", hint="put what that endpoint wants into its URL")
    for room in rooms:
        check_room(room)
    address = connection.endpoint.http_url(EVENT_STREAM_PATH)
    query = urlencode([("room", room) for room in rooms])
    return f"{address}{'&' if '?' in address else '?'}{query}" if query else address


def _what(rooms: list[str], authority: str) -> str:
    names = ", ".join(f"#{room}" for room in rooms)
    return f"{names} at {authority}" if names else authority


def _check_id(last_id: str | None) -> str:
    if last_id is not None and any(character in last_id for character in "\r\n\0"):
        raise CliError(
            "--last-id cannot have a line break or NUL in it", hint="take it from the id of an event"
        )
    return last_id or ""
