"""`rtcli chat` on a terminal: an input line and a status line below the messages.

Messages stay in the scrollback: there is no alternate screen. Lines are printed every 50 ms above
the input, so that the draft and the cursor stay where they are. Cursor position requests are not sent: some
terminals answer them late, as text.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prompt_toolkit.application import Application, run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Dimension,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
)
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Style

from rtcli import Client, files
from rtcli.apps.chat.controller import Controller, unsent_lines
from rtcli.apps.chat.input import COMMANDS
from rtcli.apps.chat.model import ChatModel, Line, fold_presence
from rtcli.apps.chat.status import status_line
from rtcli.apps.chat.typing_throttle import TypingThrottle
from rtcli.errors import Exit
from rtcli.terminal.console import Console
from rtcli.terminal.escaping import escape

BATCH_S = 0.05
MEASURE_S = 10.0
_LEAVE_TWICE_S = 2.0
_LAST_ACKS_S = 2.0
_MAX_INPUT_ROWS = 8
_STYLE = Style.from_dict({"status": "reverse", "prompt": "bold"})


@dataclass(frozen=True)
class ScreenOptions:
    """How to run on a terminal."""

    rooms: tuple[str, ...]
    history: int
    typing: bool
    history_file: Path | None


def format_line(line: Line, console: Console) -> str:
    """A line with its colours, if this terminal takes them."""
    return "".join(console.style(text, *styles) for text, styles in line.pieces)


class Screen:
    """One interactive run."""

    def __init__(
        self,
        options: ScreenOptions,
        console: Console,
        client: Client,
        *,
        clock: Callable[[], float] = time.monotonic,
        input: Input | None = None,  # noqa: A002 - prompt_toolkit's own word
        output: Output | None = None,
    ) -> None:
        self._options = options
        self._console = console
        self._clock = clock
        self._pending: list[Line] = []
        self._arrived = asyncio.Event()
        self._interrupted_at = float("-inf")
        self._entering: set[asyncio.Task[None]] = set()
        self._failed: list[asyncio.Task[None]] = []  # of them, those that raised
        encoding = (getattr(sys.stdout, "encoding", None) or "").lower()
        self.model = ChatModel(wide=encoding.startswith("utf"))
        self.controller = Controller(
            self.model,
            history=options.history,
            show=self.show,
            leave=lambda: self._leave(Exit.OK),
            clear=self._clear,
            clock=clock,
            typing=TypingThrottle(enabled=options.typing),
            client=client,
        )
        self.client = client
        self.buffer = Buffer(
            completer=WordCompleter([f"/{name}" for name in COMMANDS], sentence=True),
            history=_history(options.history_file),
            multiline=True,
            on_text_changed=lambda buffer: self.controller.text_changed(buffer.text),
        )
        self.application = self._application(input, output)

    # -- the run -------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Run until the person leaves; returns the exit code. Raises CliError when it cannot reconnect."""
        self.controller.join(self._options.rooms)
        talking = asyncio.ensure_future(self.controller.follow())
        printing = asyncio.ensure_future(self._print())
        measuring = asyncio.ensure_future(self._measure())
        for task in (talking, printing):  # neither goes on without the other
            task.add_done_callback(lambda _: self._leave(Exit.OK))
        try:
            code = await self.application.run_async(handle_sigint=False, set_exception_handler=False)
            if not talking.done():
                code = await self._say_goodbye(code)
            await talking
            for task in (printing, *self._failed):
                if task.done():
                    task.result()
        finally:
            tasks = (talking, printing, measuring, *self._entering, *self._failed)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.client.close()
            self._write(self._pending)
            self._write(unsent_lines(self.client))
        return code

    async def _say_goodbye(self, code: int) -> int:
        """Wait a moment for the last acknowledgements. If some are missing, the exit code says so."""
        if self.model.connected:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_ACKS_S):
                    while self.client.unconfirmed:  # noqa: ASYNC110 - at most two seconds, at the very end
                        await asyncio.sleep(BATCH_S)
        await self.client.close()
        return Exit.CANNOT_CONNECT if self.client.unconfirmed and code == Exit.OK else code

    async def _measure(self) -> None:
        while True:
            self.client.ping()
            await asyncio.sleep(MEASURE_S)

    def _leave(self, code: int) -> None:
        if self.application.is_running and not self.application.is_done:
            self.application.exit(result=code)

    # -- what is printed -----------------------------------------------------------------------------------

    def show(self, lines: list[Line]) -> None:
        """Queue lines for the next batch."""
        self._pending += lines
        self._arrived.set()

    async def _print(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            lines, self._pending = fold_presence(self._pending), []
            await run_in_terminal(partial(self._write, lines))
            await asyncio.sleep(BATCH_S)

    def _write(self, lines: list[Line]) -> None:
        self._console.write_lines(format_line(line, self._console) for line in lines)

    def _clear(self) -> None:
        self.application.renderer.clear()

    # -- what is typed -------------------------------------------------------------------------------------

    def _enter(self) -> None:
        text = self.buffer.text
        self.buffer.append_to_history()
        self.buffer.reset()
        task = asyncio.ensure_future(self.controller.enter(text.strip("\n")))
        self._entering.add(task)
        task.add_done_callback(self._entered)

    def _entered(self, task: asyncio.Task[None]) -> None:
        """A line that was typed is dealt with. What that raises ends the command."""
        self._entering.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failed.append(task)
            self._leave(Exit.OK)

    def _interrupt(self) -> None:
        """Ctrl-C drops the draft. Without a draft, the second one within 2 s leaves."""
        if self.buffer.text:
            self.buffer.reset()  # this does not call on_text_changed
            self.controller.text_changed("")
            return
        now = self._clock()
        if now - self._interrupted_at < _LEAVE_TWICE_S:
            self._leave(Exit.SIGINT)
        self._interrupted_at = now
        self.application.invalidate()

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter")
        def _(_event: KeyPressEvent) -> None:
            self._enter()

        @keys.add("escape", "enter")
        def _(_event: KeyPressEvent) -> None:
            self.buffer.insert_text("\n")

        @keys.add("c-c")
        @keys.add("<sigint>")
        def _(_event: KeyPressEvent) -> None:
            self._interrupt()

        @keys.add("c-d", filter=Condition(lambda: not self.buffer.text))
        def _(_event: KeyPressEvent) -> None:
            self._leave(Exit.OK)

        @keys.add("c-l")
        def _(_event: KeyPressEvent) -> None:
            self._clear()

        @keys.add("tab")
        def _(_event: KeyPressEvent) -> None:
            self.buffer.complete_next() if self.buffer.complete_state else self.buffer.start_completion(
                insert_common_part=True
            )

        return keys

    # -- what it looks like --------------------------------------------------------------------------------

    def _application(self, given_input: Input | None, output: Output | None) -> Application[int]:
        draft = Window(
            BufferControl(self.buffer, input_processors=[BeforeInput(self._prompt, style="class:prompt")]),
            height=Dimension(min=1, max=_MAX_INPUT_ROWS),
            wrap_lines=True,
            dont_extend_height=True,
        )
        status = Window(FormattedTextControl(self._status), height=1, style="class:status")
        completing = Condition(
            lambda: bool(self.buffer.complete_state and self.buffer.complete_state.completions)
        )
        menu = ConditionalContainer(
            Window(FormattedTextControl(self._completions), height=1, dont_extend_height=True),
            filter=completing,
        )
        color = self._console.use_color("stdout")
        return Application(
            layout=Layout(HSplit([draft, menu, status])),
            key_bindings=self._keys(),
            style=_STYLE,
            full_screen=False,
            erase_when_done=True,
            refresh_interval=0.5,
            color_depth=None if color else ColorDepth.DEPTH_1_BIT,
            input=given_input,
            output=output or _terminal(),
        )

    def _prompt(self) -> str:
        return f"{escape(self.model.active) or '…'}> "

    def _completions(self) -> str:
        state = self.buffer.complete_state
        return "  ".join(completion.text for completion in state.completions) if state is not None else ""

    def _status(self) -> str:
        if self._clock() - self._interrupted_at < _LEAVE_TWICE_S:
            return " Press Ctrl-C again to leave, or Ctrl-D"
        width = self.application.output.get_size().columns
        return status_line(self.model, unsent=len(self.client.unconfirmed), now=self._clock(), width=width)


def _terminal() -> Output:
    terminal = Vt100_Output.from_pty(sys.stdout)
    terminal.enable_cpr = False
    return terminal


def _history(path: Path | None) -> History:
    """The lines typed before, in a file that only its user can read; in memory if there is no such file."""
    if path is None:
        return InMemoryHistory()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(files.open_or_make(path, files.PRIVATE))
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))
