"""One run of a tail as its options describe it: which stream, from where on, what to do with events."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from rtcli.apps.tail.exec import Executor
from rtcli.apps.tail.filters import EventFilter
from rtcli.apps.tail.follow import Tail, TailOptions
from rtcli.apps.tail.state_file import StateFile
from rtcli.client.backoff import Reconnect
from rtcli.client.connection import Connection
from rtcli.client.endpoint import Endpoint
from rtcli.client.http import make_http
from rtcli.client.sse import FOLLOW, EventStream, StreamRequest
from rtcli.client.validation import check_room
from rtcli.errors import CliError
from rtcli.protocol.paths import EVENT_STREAM_PATH, NOTIFICATION_STREAM_PATH
from rtcli.terminal.console import console
from rtcli.units import format_bytes

MAX_BODY_BYTES = 67_108_864
RTCLI_IDLE_TIMEOUT_S = 90.0  # three heartbeats of the server's default


@dataclass(frozen=True)
class TailPlan:
    """The options of one run, read and checked."""

    connection: Connection
    address: str
    options: TailOptions
    accept: EventFilter
    executor: Executor | None
    last_id: str
    idle_timeout_s: float | None
    wait_s: float | None  # how long to keep trying the first connection
    request: StreamRequest = FOLLOW

    async def run(self, state: StateFile | None) -> int:
        """Follow the stream to its end; returns the exit code. Raises CliError."""
        connection = self.connection
        idle_s = self.idle_timeout_s
        if idle_s is None and self.options.is_rtcli:
            idle_s = RTCLI_IDLE_TIMEOUT_S
        async with make_http(
            connection.endpoint, tls=connection.tls, headers=connection.headers, read_timeout_s=idle_s
        ) as http:
            stream = EventStream(
                http,
                self.address,
                where=connection.endpoint.authority,
                reconnect=Reconnect(random.Random(), started=time.monotonic(), wait_s=self.wait_s),  # noqa: S311 - spreads attempts; guards nothing
                token=connection.token,
                request=self.request,
                last_event_id=(state.last_id if state is not None else None) or self.last_id,
            )
            tail = Tail(
                stream,
                self.options,
                console=console,
                accept=self.accept,
                state=state,
                executor=self.executor,
                clock=time.monotonic,
                wall=time.time,
            )
            return await tail.run()


def make_request(
    method: str | None, data: str | None, *, once: bool, is_rtcli: bool, resumes: bool
) -> StreamRequest:
    """Read `--method`, `--data` and `--once`. Raises CliError (2)."""
    body = None if data is None else read_data(data)
    method = (method or ("GET" if body is None else "POST")).upper()
    if not (method.isascii() and method.isalpha()):
        raise CliError(f"--method {method!r} is none", hint="--method POST")
    request = StreamRequest(method=method, body=body, once=once, foreign=not is_rtcli)
    if is_rtcli and not request.repeatable:
        raise CliError(
            "--method and --data are for other servers", hint="our own: rtcli tail-events --room ROOM"
        )
    if resumes and not request.repeatable:
        raise CliError(
            f"the answer to a {method} is not resumed, it is asked for once",
            hint="leave out --state and --last-id",
        )
    return request


def read_data(data: str) -> bytes:
    """The body that `--data` names: a text, `@FILE`, or `@-` for stdin. Raises CliError (2)."""
    if not data.startswith("@"):
        return data.encode("utf-8", "surrogateescape")
    try:
        if data == "@-":
            body = sys.stdin.buffer.read(MAX_BODY_BYTES + 1)
        else:
            with Path(data[1:]).open("rb") as file:
                body = file.read(MAX_BODY_BYTES + 1)
    except (OSError, ValueError, AttributeError) as error:
        why = (getattr(error, "strerror", None) or "cannot be read").lower()
        raise CliError(f"--data {data}: {why}", hint="--data '{…}', --data @FILE, or @- for stdin") from None
    if len(body) > MAX_BODY_BYTES:
        raise CliError(f"--data {data}: larger than {format_bytes(MAX_BODY_BYTES)}", hint="is it that file?")
    return body


def is_rtcli_stream(endpoint: Endpoint) -> bool:
    """Whether this address, by its path or by having none, is an event stream of an rtcli server."""
    path = endpoint.path.partition("?")[0]
    return path in {"", EVENT_STREAM_PATH, NOTIFICATION_STREAM_PATH}


def stream_address(endpoint: Endpoint, rooms: Sequence[str]) -> str:
    """The URL of the stream of these rooms. Raises CliError (2)."""
    if rooms and not is_rtcli_stream(endpoint):
        raise CliError("--room is for our own servers", hint="put what that endpoint wants into its URL")
    address = endpoint.http_url(EVENT_STREAM_PATH)
    query = urlencode([("room", check_room(room)) for room in rooms])
    return f"{address}{'&' if '?' in address else '?'}{query}" if query else address


def describe_stream(rooms: Sequence[str], authority: str) -> str:
    """What is followed, for a person."""
    names = ", ".join(f"#{room}" for room in rooms)
    return f"{names} at {authority}" if names else authority


def check_last_id(last_id: str | None) -> str:
    """The id to resume from, empty for none. Raises CliError (2) for one that cannot be sent."""
    if last_id is not None and any(character in last_id for character in "\r\n\0"):
        raise CliError(
            "--last-id cannot have a line break or NUL in it", hint="take it from the id of an event"
        )
    return last_id or ""
