"""One run of a tail as its options describe it: which stream, from where on, what to do with events."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtcli import EventStream
from rtcli.apps.tail.exec import Executor
from rtcli.apps.tail.filters import EventFilter
from rtcli.apps.tail.follow import Tail, TailOptions
from rtcli.apps.tail.state_file import StateFile
from rtcli.errors import CliError
from rtcli.terminal.console import console
from rtcli.units import format_bytes

MAX_BODY_BYTES = 67_108_864
OpenStream = Callable[[str], EventStream]  # at the event with this id; empty: at its end


@dataclass(frozen=True)
class TailPlan:
    """The options of one run, read and checked."""

    open_stream: OpenStream
    options: TailOptions
    accept: EventFilter
    executor: Executor | None
    last_id: str

    async def run(self, state: StateFile | None) -> int:
        """Follow the stream to its end; returns the exit code. Raises RtcliError."""
        tail = Tail(
            self.open_stream((state.last_id if state is not None else None) or self.last_id),
            self.options,
            console=console,
            accept=self.accept,
            state=state,
            executor=self.executor,
            clock=time.monotonic,
            wall=time.time,
        )
        return await tail.run()


@dataclass(frozen=True)
class Request:
    """What another server is asked; our own is asked for nothing special."""

    method: str = "GET"
    body: bytes | None = None
    once: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether it may be made again after a loss: a request with a body may do something each time."""
        return self.method == "GET" and self.body is None


def make_request(
    method: str | None, data: str | None, *, once: bool, is_rtcli: bool, resumes: bool
) -> Request:
    """Read `--method`, `--data` and `--once`. Raises CliError (2)."""
    body = None if data is None else read_data(data)
    method = (method or ("GET" if body is None else "POST")).upper()
    if not (method.isascii() and method.isalpha()):
        raise CliError(f"--method {method!r} is none", hint="--method POST")
    request = Request(method, body, once)
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
