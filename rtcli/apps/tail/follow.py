"""The loop of `rtcli tail-events`: write and flush an event, run its command, save its id."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from rtcli.apps.tail.cursor import DuplicateFilter, GapRecord, Ready, reached, read_gap, read_ready
from rtcli.apps.tail.exec import Executor
from rtcli.apps.tail.filters import EventFilter
from rtcli.apps.tail.render import Output, ReceivedEvent, renderer
from rtcli.apps.tail.state_file import StateFile
from rtcli.client.sse import Batch, EventStream, Lost, Opened
from rtcli.errors import CliError, Exit
from rtcli.protocol.messages import format_timestamp
from rtcli.protocol.publication import DIRECT, SKIPPED
from rtcli.protocol.sse import ServerSentEvent
from rtcli.terminal.console import Console
from rtcli.terminal.escaping import json_text
from rtcli.units import format_duration

# Events of rtcli streams that are about the stream itself. Shown when --event asks for them.
PROTOCOL_EVENTS = frozenset({"ready", "heartbeat", "closing", "error", "gap", SKIPPED})

# The data of the last event of many answers of language models; nothing comes after it.
DONE = "[DONE]"


@dataclass(frozen=True)
class TailOptions:
    """What a tail does with the events of its stream."""

    what: str  # the name of the stream, for people
    is_rtcli: bool  # a stream of an rtcli server, with protocol events
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
        self._away_s: float | None = None
        self._resumed_from = stream.last_event_id
        self._ready: Ready | None = None
        self._duplicates = DuplicateFilter()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> int:
        """Follow until the count is reached, the server answers 204, or (with follow=False) all is shown."""
        try:
            async with aclosing(self._stream.items()) as items:
                async for item in items:
                    if await self._handle(item):
                        break
        finally:
            if self._timer is not None:
                self._timer.cancel()
        return Exit.OK

    async def _handle(self, item: Opened | Lost | Batch) -> bool:
        """Process it; returns whether the tail is done."""
        if isinstance(item, Batch):
            return await self._handle_events(item.events)
        if isinstance(item, Opened):
            return self._on_opened(item)
        self._console.status(f"lost ({item.reason}), retrying in {format_duration(item.retry_in_s)}")
        self._resumed_from = self._stream.last_event_id
        return False

    def _on_opened(self, opened: Opened) -> bool:
        self._away_s = opened.away_s
        if self._options.is_rtcli:
            return False  # `ready` follows, with more details
        if opened.away_s is not None:
            self._console.status(f"back after {format_duration(opened.away_s)}")
        else:
            self._announce(resuming=bool(opened.last_event_id))
        return self._is_done()

    def _announce(self, *, resuming: bool) -> None:
        resumed = ", resuming where it stopped" if resuming else ""
        self._console.status(f"following {self._options.what}{resumed}")

    def _is_done(self) -> bool:
        return self._options.count is not None and self._shown >= self._options.count

    # -- events --------------------------------------------------------------------------------------------

    async def _handle_events(self, events: list[ServerSentEvent]) -> bool:
        last_id = None
        done = False
        try:
            for event in events:
                done = await self._handle_event(ReceivedEvent(event, self._wall()))
                last_id = event.id
                if done:
                    break
        finally:
            # The events that were shown are done, even if a later one failed.
            self._flush()
            if last_id is not None:
                self._keep(last_id)
        return done

    async def _handle_event(self, seen: ReceivedEvent) -> bool:
        event = seen.event
        protocol = self._options.is_rtcli and event.event in PROTOCOL_EVENTS
        numbered = self._options.is_rtcli and not protocol and event.event != DIRECT
        if numbered and not self._duplicates.is_new(event.id):
            self._console.warning(f"the server sent {event.id} again; it was left out")
            return False
        is_last = not self._options.is_rtcli and event.data == DONE
        if is_last and self._options.output is not Output.RAW:
            return True
        done = self._on_protocol_event(seen) if protocol else is_last
        if (not protocol or event.event in self._accept.wanted) and self._accept.accepts(event):
            self._buffer += self._render(seen)
            self._shown += 1
            await self._execute(seen)
        return done or self._is_done() or self._has_shown_all(event.id)

    def _has_shown_all(self, last_id: str) -> bool:
        return not self._options.follow and self._ready is not None and reached(last_id, self._ready.tops)

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

    def _keep(self, last_id: str) -> None:
        if self._state is None:
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

    # -- protocol events of rtcli streams ------------------------------------------------------------------

    def _on_protocol_event(self, seen: ReceivedEvent) -> bool:
        """Process it; returns whether the tail is done."""
        match seen.event.event:
            case "ready":
                return self._on_ready(seen)
            case "gap":
                self._on_gap(read_gap(seen), seen.timestamp)
            case "error":
                said = f"{seen.fields.get('code')}: {seen.fields.get('message')}"
                self._console.status(f"the server ends the stream ({said})")
            case "closing":
                self._console.status(f"the server is closing ({seen.fields.get('reason')})")
        return False

    def _on_ready(self, seen: ReceivedEvent) -> bool:
        ready = self._ready = read_ready(seen, self._resumed_from)
        if self._away_s is None:
            self._announce(resuming=bool(self._resumed_from))
        else:
            caught_up = f", {ready.replayed} caught up" if ready.replayed else ""
            self._console.status(f"back after {format_duration(self._away_s)}{caught_up}")
        for gap in ready.gaps:
            self._on_gap(gap, format_timestamp(seen.received))
        return self._is_done()

    def _on_gap(self, gap: GapRecord, timestamp: str) -> None:
        if self._options.output is Output.JSON:
            self._buffer += f"{json_text(gap.record(timestamp))}\n".encode()
        self._console.status(str(gap))
        if self._options.fail_on_gap:
            self._flush()
            raise CliError(
                f"{gap}",
                hint="keep more on the server (serve --history-size), or start over with --state-reset",
                exit_code=Exit.SERVER,
            )
