"""What becomes of messages, frames and news: data on stdout, records, lines for a person."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from websockets.http11 import Request, Response

from rtcli.apps.ws.outgoing import Encoding
from rtcli.apps.ws.recording import Recording
from rtcli.apps.ws.render import (
    closed_record,
    data_of,
    header_lines,
    lines_of,
    opened_record,
    record_of,
    verbose_line,
)
from rtcli.client.raw.ending import By, Ending
from rtcli.client.raw.frames import Direction, Frame, Message
from rtcli.protocol.messages import format_timestamp
from rtcli.terminal.console import Console, Style
from rtcli.terminal.escaping import json_text
from rtcli.terminal.stdout import write_stdout


class Screen(Protocol):
    """A terminal with an input line, above which lines are printed."""

    async def show(self, text: str, *styles: Style) -> None:
        """Print a line, as soon as there is room for it."""


@dataclass(frozen=True)
class OutputOptions:
    """How messages are written."""

    url: str  # for people and records: without its query, which may have secrets in it
    json: bool = False
    raw: bool = False
    encoding: Encoding | None = None


class Output:
    """Writes everything about one run, in order."""

    def __init__(
        self,
        options: OutputOptions,
        console: Console,
        *,
        recording: Recording | None = None,
        screen: Screen | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._console = console
        self._recording = recording
        self._screen = screen
        self._wall = wall
        to_terminal = console.stdout_is_tty
        self._raw = options.raw and not to_terminal
        bytes_in_terminal = to_terminal and options.encoding is Encoding.RAW
        self._encoding = None if bytes_in_terminal else options.encoding

    # -- data ----------------------------------------------------------------------------------------------

    async def message(self, message: Message) -> None:
        """Write a whole message, or a control frame."""
        if self._options.json or self._recording is not None:
            await self._record(record_of(message, self._now()))
        if self._options.json or not message.is_data:
            return
        if self._screen is not None:
            style: Style = "cyan" if message.direction is Direction.IN else "dim"
            for line in lines_of(message, self._encoding):
                await self._screen.show(line, style)
        elif message.direction is Direction.IN:
            await write_stdout(self._console, data_of(message, self._encoding, raw=self._raw))

    async def _record(self, record: dict[str, object]) -> None:
        if self._recording is not None:
            self._recording.write(record)
        if self._options.json:
            await write_stdout(self._console, f"{json_text(record)}\n".encode())

    def _now(self) -> str:
        return format_timestamp(self._wall())

    # -- news ----------------------------------------------------------------------------------------------

    async def opened(self, subprotocol: str | None, away_s: float | None) -> None:
        """The connection is open, perhaps again."""
        await self._record(opened_record(self._now(), self._options.url, subprotocol))
        chosen = f", subprotocol {subprotocol}" if subprotocol else ""
        again = "connected to" if away_s is None else f"back after {away_s:.1f} s:"
        await self.status(f"{again} {self._options.url}{chosen}")

    async def closed(self, ending: Ending) -> None:
        """The connection has ended."""
        await self._record(closed_record(self._now(), ending))
        if ending.by is By.SERVER and ending.in_order:
            await self.status(f"closed by the server ({ending})")

    async def status(self, text: str) -> None:
        """Say what has changed."""
        if self._screen is None:
            self._console.status(text)
        elif not self._console.quiet:
            await self._screen.show(f"-- {text}", "dim")

    # -- with -v -------------------------------------------------------------------------------------------

    async def handshake(self, request: Request | None, response: Response | None, elapsed_s: float) -> None:
        """Show both sides of a handshake, also of one that was refused."""
        if not self._console.verbose:
            return
        lines: list[str] = []
        if request is not None:
            start = f"GET {request.path.partition('?')[0]}{'?…' if '?' in request.path else ''} HTTP/1.1"
            lines += header_lines(start, request.headers.raw_items(), ">")
        if response is not None:
            start = f"HTTP/1.1 {response.status_code} {response.reason_phrase}"
            lines += header_lines(f"{start} after {elapsed_s:.3f} s", response.headers.raw_items(), "<")
            if response.status_code != 101 and response.body:
                lines.append(f"< {response.body[:400].decode('utf-8', 'replace')}")
        await self._debug(lines)

    async def frame(self, frame: Frame, elapsed_s: float) -> None:
        """Show a frame."""
        if self._console.verbose:
            await self._debug([verbose_line(frame, elapsed_s)])

    async def _debug(self, lines: Sequence[str]) -> None:
        for line in lines:
            if self._screen is not None:
                await self._screen.show(f".. {line}", "dim")
            else:
                self._console.debug(line)
