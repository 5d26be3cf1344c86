"""The loop of `rtcli tail-events`: write and flush an event, run its command, save its id."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from rtcli import CaughtUp, ConnectionWarning, EventStream, Gap, Lost, Opened, StreamEvent, StreamUpdate
from rtcli.apps.tail.exec import Executor
from rtcli.apps.tail.filters import EventFilter
from rtcli.apps.tail.render import Output, ReceivedEvent, gap_record, gap_sentence, renderer
from rtcli.apps.tail.state_file import StateFile
from rtcli.errors import CliError, Exit
from rtcli.protocol.messages import format_timestamp
from rtcli.terminal.console import Console
from rtcli.terminal.escaping import json_text
from rtcli.units import format_duration


@dataclass(frozen=True)
class TailOptions:
    """What a tail does with the events of its stream."""

    what: str  # the name of the stream, for people
    output: Output = Output.DEFAULT
    count: int | None = None
    follow: bool = True
    fail_on_gap: bool = False
    stop_on_exec_failure: bool = True


class Tail:
    """Follows one stream to its end; `run` returns the exit code."""

    def __init__(
        self,
        stream: EventStream,
        options: TailOptions,
        *,
        console: Console,
        accept: EventFilter,
        state: StateFile | None,
        executor: Executor | None,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._stream = stream
        self._options = options
        self._console = console
        self._accept = accept
        self._state = state
        self._executor = executor
        self._clock = clock
        self._wall = wall
        self._render = renderer(options.output, for_terminal=console.stdout_is_tty)
        self._buffer = bytearray()
        self._shown = 0
        self._done_id: str | None = None  # of the last event that is done, and not kept yet
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> int:
        """Follow until the count is reached, the server answers 204, or (with follow=False) all is shown."""
        updates = self._stream.updates()
        self._stream.start()
        try:
            async for update in updates:
                if await self._handle(update):
                    break
                if not updates.pending:
                    self._settle()
        finally:
            try:
                self._settle()  # the events that were shown are done, even if a later one failed
            finally:
                if self._timer is not None:
                    self._timer.cancel()
                await self._stream.close()
        return Exit.OK

    async def _handle(self, update: StreamUpdate) -> bool:
        """Process it; returns whether the tail is done."""
        match update:
            case StreamEvent():
                return await self._handle_event(ReceivedEvent(update, self._wall()))
            case Opened():
                return self._on_opened(update)
            case CaughtUp():
                return not self._options.follow
            case Lost():
                self._console.status(
                    f"lost ({update.reason}), retrying in {format_duration(update.retry_in_s)}"
                )
            case Gap():
                self._on_gap(update)
            case ConnectionWarning():
                self._console.warning(update.message)
        return False

    def _on_opened(self, opened: Opened) -> bool:
        self._done_id = opened.last_event_id or None
        if opened.away_s is None:
            resumed = ", resuming where it stopped" if opened.resumes else ""
            self._console.status(f"following {self._options.what}{resumed}")
        else:
            caught_up = f", {opened.caught_up} caught up" if opened.caught_up else ""
            self._console.status(f"back after {format_duration(opened.away_s)}{caught_up}")
        return self._is_done()

    def _is_done(self) -> bool:
        return self._options.count is not None and self._shown >= self._options.count

    # -- events --------------------------------------------------------------------------------------------

    async def _handle_event(self, seen: ReceivedEvent) -> bool:
        event = seen.event
        if event.about_stream:
            self._on_closing(seen)
        if self._is_shown(event) and self._accept.accepts(event):
            self._buffer += self._render(seen)
            self._shown += 1
            await self._execute(seen)
        self._done_id = event.id
        return self._is_done()

    def _is_shown(self, event: StreamEvent) -> bool:
        """What is about the stream itself is shown when --event asks for it, or all as it came."""
        if not event.about_stream:
            return True
        if not self._stream.is_rtcli:  # the mark at the end of an answer
            return self._options.output is Output.RAW
        return event.event in self._accept.wanted

    def _on_closing(self, seen: ReceivedEvent) -> None:
        match seen.event.event:
            case "error":
                said = f"{seen.fields.get('code')}: {seen.fields.get('message')}"
                self._console.status(f"the server ends the stream ({said})")
            case "closing":
                self._console.status(f"the server is closing ({seen.fields.get('reason')})")

    async def _execute(self, seen: ReceivedEvent) -> None:
        if self._executor is None:
            return
        self._flush()
        facts = {"ID": seen.event.id, "TYPE": seen.event.event, "ROOM": seen.room or "", "TS": seen.timestamp}
        status = await self._executor.run(seen.event.data, facts)
        if status == 0:
            return
        how = f"ended with {status}" if status > 0 else f"was ended by signal {-status}"
        if self._options.stop_on_exec_failure:
            raise CliError(
                f"--exec {self._executor.argv[0]} {how}",
                hint="to go on after a failure: --exec-fail warn",
                exit_code=Exit.EXEC,
            )
        self._console.warning(f"--exec {self._executor.argv[0]} {how}")

    def _flush(self) -> None:
        if self._buffer:
            data, self._buffer = bytes(self._buffer), bytearray()
            self._console.write_bytes(data)

    def _settle(self) -> None:
        """Write what is shown, and keep the id of the last event that is done."""
        self._flush()
        last_id, self._done_id = self._done_id, None
        if self._state is None or last_id is None:
            return
        due_s = self._state.record(last_id, now=self._clock())
        if due_s is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due_s), self._save)

    def _save(self) -> None:
        self._timer = None
        if self._state is not None:
            # It stays unsaved, and the next event or the end reports why.
            with contextlib.suppress(CliError):
                self._state.save(now=self._clock())

    def _on_gap(self, gap: Gap) -> None:
        if self._options.output is Output.JSON:
            record = gap_record(gap, format_timestamp(self._wall()))
            self._buffer += f"{json_text(record)}\n".encode()
        self._console.status(gap_sentence(gap))
        if self._options.fail_on_gap:
            self._flush()
            raise CliError(
                gap_sentence(gap),
                hint="keep more on the server (serve --history-size), or start over with --state-reset",
                exit_code=Exit.SERVER,
            )
