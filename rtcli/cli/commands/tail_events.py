"""`rtcli tail-events`: follow rooms over Server-Sent Events, or any SSE endpoint."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

import rtcli
from rtcli.apps.tail.exec import Executor
from rtcli.apps.tail.filters import make_filter
from rtcli.apps.tail.follow import TailOptions
from rtcli.apps.tail.plan import TailPlan, check_last_id, describe_stream, make_request
from rtcli.apps.tail.render import Output
from rtcli.apps.tail.state_file import StateFile, filter_hash
from rtcli.cli import options, signals
from rtcli.cli.bundles import takes_bundles
from rtcli.cli.connection import ConnectionOptions, make_stream_connection
from rtcli.cli.limits import EndOptions, Limit
from rtcli.errors import CliError
from rtcli.protocol.messages import format_timestamp
from rtcli.protocol.rooms import nfc
from rtcli.terminal.console import console

_URL_CHARACTERS = set(":/.")  # at least one is in each

app = options.new_app()


class ExecFailure(StrEnum):
    """What to do when the command of --exec fails."""

    STOP = "stop"
    WARN = "warn"


@dataclass(frozen=True)
class FilterOptions:
    """Which events are shown."""

    event: Annotated[
        list[str] | None,
        typer.Option("--event", "-e", metavar="TYPE", help="Only events of this type (repeatable)."),
    ] = None
    not_event: Annotated[
        list[str] | None,
        typer.Option("--not-event", metavar="TYPE", help="No events of this type (repeatable)."),
    ] = None
    grep: Annotated[
        str | None,
        typer.Option(
            "--grep", "-g", metavar="REGEX", help="Only if the data matches; case counts if it has capitals."
        ),
    ] = None


@dataclass(frozen=True)
class RequestOptions:
    """What another server is asked."""

    method: Annotated[
        str | None, typer.Option("--method", "-X", metavar="METHOD", help="With URL: GET; POST with --data.")
    ] = None
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            "-d",
            metavar="TEXT|@FILE",
            help="With URL: send this body (JSON unless -H says else), show the answer; @- is stdin.",
        ),
    ] = None
    once: Annotated[
        bool, typer.Option("--once", help="End with 0 when the server ends the stream, as with --data.")
    ] = False


@dataclass(frozen=True)
class RangeOptions:
    """Where in the stream to start, and whether to go on when everything up to now was shown."""

    last_id: Annotated[
        str | None, typer.Option("--last-id", metavar="ID", help="Start after the event with this id.")
    ] = None
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="FILE", help="Start where FILE says, and keep in it what was shown."),
    ] = None
    state_reset: Annotated[
        bool, typer.Option("--state-reset", help="Start anew, although FILE is of another server or filter.")
    ] = False
    no_follow: Annotated[
        bool, typer.Option("--no-follow", help="End when everything up to now was shown.")
    ] = False


@dataclass(frozen=True)
class HandlingOptions:
    """What to do with an event, with a gap, and with silence."""

    output: Annotated[Output, typer.Option("-o", "--output", help="How to write an event.")] = Output.DEFAULT
    exec_command: Annotated[
        str | None,
        typer.Option(
            "--exec", metavar="CMD", help="Run CMD for each event: data on stdin, RTCLI_EVENT_* around it."
        ),
    ] = None
    exec_fail: Annotated[ExecFailure, typer.Option("--exec-fail", help="What if CMD fails.")] = (
        ExecFailure.STOP
    )
    fail_on_gap: Annotated[
        bool, typer.Option("--fail-on-gap", help="End with 6 when events will not come.")
    ] = False
    idle_timeout: Annotated[
        float | None,
        typer.Option(
            "--idle-timeout",
            parser=options.duration,
            metavar="DUR",
            help="Silence after which it is lost (ours: 90s).",
        ),
    ] = None


@app.command(
    epilog=options.examples(
        "rtcli tail-events --room general",
        "rtcli tail-events --room general --json | jq .data.content",
        "rtcli tail-events --room general --state seen.json --exec './notify.sh'",
        "rtcli tail-events --room deploys --grep failed --count 1 --timeout 10m",
        "rtcli tail-events https://example.com/any/event-stream",
        "rtcli tail-events https://example.com/v1/chat -d @question.json -o data",
    )
)
@takes_bundles()
def tail_events(
    stream_url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL", help="Any SSE endpoint. Without a path, or without it (--url): our server's."
        ),
    ] = None,
    *,
    room: options.Rooms = None,
    asked: RequestOptions,
    filters: FilterOptions,
    span: RangeOptions,
    handling: HandlingOptions,
    end: EndOptions,
    server: ConnectionOptions,
    console_options: options.ConsoleOptions,
) -> int:
    """Follow the event stream of rooms, or any SSE endpoint; comes back by itself and resumes."""
    if end.timeout is not None and end.count is None and not span.no_follow:
        raise CliError(
            "--timeout needs --count or --no-follow", hint="to end after a time with 0: --duration"
        )
    if stream_url is not None and not _URL_CHARACTERS & set(stream_url):
        raise CliError(
            f"{stream_url!r} is not a URL", hint=f"a room: rtcli tail-events --room {shlex.quote(stream_url)}"
        )
    connection = make_stream_connection(server, stream_url)
    is_rtcli = connection.endpoint.is_rtcli_stream
    request = make_request(
        asked.method,
        asked.data,
        once=asked.once or (span.no_follow and not is_rtcli),
        is_rtcli=is_rtcli,
        resumes=span.state is not None or span.last_id is not None,
    )
    rooms = [nfc(name) for name in room or []]
    if rooms and not is_rtcli:
        raise CliError("--room is for our own servers", hint="put what that endpoint wants into its URL")
    open_stream = partial(
        rtcli.events,
        connection.endpoint.url,
        rooms=rooms,
        token=connection.token,
        headers=connection.headers,
        ssl_context=connection.ssl_context(),
        proxy=connection.given_proxy,
        wait_s=server.wait or 0.0,
        idle_timeout_s=handling.idle_timeout,
        method=request.method,
        content=request.body,
        once=request.once,
    )
    address = open_stream().url
    digest = filter_hash(address=address, event=filters.event, not_event=filters.not_event, grep=filters.grep)
    plan = TailPlan(
        open_stream=lambda last_id: open_stream(last_event_id=last_id),
        options=TailOptions(
            what=describe_stream(rooms, connection.endpoint.authority),
            output=Output.JSON if console_options.json else handling.output,
            count=end.count,
            follow=not span.no_follow,
            fail_on_gap=handling.fail_on_gap,
            stop_on_exec_failure=handling.exec_fail is ExecFailure.STOP,
        ),
        accept=make_filter(filters.event, filters.not_event, filters.grep),
        executor=None if handling.exec_command is None else Executor(handling.exec_command, console.env),
        last_id=check_last_id(span.last_id),
    )
    with connection.explaining_refusal():
        return _run(plan, end.limit(), span, connection.endpoint.base, digest)


def _run(plan: TailPlan, limit: Limit, span: RangeOptions, base: str, filter_digest: str) -> int:
    if span.state is None:
        return signals.run(limit.apply(plan.run(None)))
    state = StateFile(
        span.state,
        server=base,
        filter_digest=filter_digest,
        timestamp=lambda: format_timestamp(time.time()),
        reset=span.state_reset,
    )
    try:
        return signals.run(limit.apply(plan.run(state)))
    finally:
        state.close(now=time.monotonic())
