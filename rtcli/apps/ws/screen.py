"""`rtcli ws` on a terminal: an input line below what goes over the wire, which stays in the scrollback.

What was typed is kept for this run only: it may have credentials in it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from functools import partial

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.output.vt100 import Vt100_Output

from rtcli.apps.ws.outgoing import COMMANDS, BadInputError, Encoding, Outgoing, read_message
from rtcli.apps.ws.session import Session
from rtcli.errors import Exit
from rtcli.terminal.console import Console, Style
from rtcli.terminal.escaping import escape

BATCH_S = 0.05
_MAX_PENDING = 1000  # lines that wait to be printed; then the network waits
_LEAVE_S = 3.0


class TerminalScreen:
    """The terminal of one run. `show` prints lines, and `messages` has what is typed."""

    def __init__(
        self,
        console: Console,
        encoding: Encoding | None,
        *,
        slash: bool = True,
        input: Input | None = None,  # noqa: A002 - prompt_toolkit's own word
        output: Output | None = None,
    ) -> None:
        self._console = console
        self._encoding = None if encoding is Encoding.RAW else encoding
        self._slash = slash
        self._pending: list[str] = []
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._typed: asyncio.Queue[Outgoing | None] = asyncio.Queue()
        self._prompt: PromptSession[str] = PromptSession(
            "> ",
            completer=WordCompleter([f"/{name}" for name in COMMANDS], sentence=True) if slash else None,
            complete_while_typing=False,
            enable_suspend=True,
            erase_when_done=True,
            key_bindings=_keys(),
            color_depth=None if console.use_color("stdout") else ColorDepth.DEPTH_1_BIT,
            input=input,
            output=output or _terminal(),
        )

    async def messages(self) -> AsyncIterator[Outgoing]:
        """What is typed, until the person leaves."""
        while (message := await self._typed.get()) is not None:
            yield message

    async def show(self, text: str, *styles: Style) -> None:
        """Print a line, as soon as there is room for it. It is escaped here, too."""
        while len(self._pending) >= _MAX_PENDING:
            self._room.clear()
            await self._room.wait()
        self._pending.append(self._console.style(escape(text), *styles))
        self._arrived.set()

    async def run(self, session: Session) -> int:
        """Run until the person leaves or the session ends; returns the exit code. Raises CliError."""
        talking = asyncio.ensure_future(session.run())
        typing = asyncio.ensure_future(self._type())
        printing = asyncio.ensure_future(self._print())
        try:
            await asyncio.wait((talking, typing, printing), return_when=asyncio.FIRST_COMPLETED)
            if typing.done():
                code = typing.result()
                if not session.connected:
                    return code
                session.leave()
                self._typed.put_nowait(None)
                await asyncio.wait((talking,), timeout=_LEAVE_S)
                return talking.result() or code if talking.done() else code
            if printing.done():
                printing.result()
            return await talking
        finally:
            for task in (typing, talking, printing):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            self._write(self._take())

    async def _type(self) -> int:
        """Read what is typed; returns how the person left."""
        while True:
            try:
                text = await self._prompt.prompt_async(handle_sigint=False, set_exception_handler=False)
            except EOFError:
                return Exit.OK
            except KeyboardInterrupt:
                return Exit.SIGINT
            if not text:
                continue
            try:
                data = text.encode("utf-8", "surrogatepass")
                self._typed.put_nowait(read_message(data, self._encoding, slash=self._slash))
            except BadInputError as error:
                await self.show(f"not sent: it {error}; {error.hint}", "yellow")

    # -- printing ------------------------------------------------------------------------------------------

    async def _print(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await run_in_terminal(partial(self._write, self._take()))
            await asyncio.sleep(BATCH_S)

    def _take(self) -> list[str]:
        lines, self._pending = self._pending, []
        self._room.set()
        return lines

    def _write(self, lines: list[str]) -> None:
        self._console.write_lines(lines)


def _keys() -> KeyBindings:
    """Ctrl-C drops the draft; without one, it leaves."""
    keys = KeyBindings()

    @keys.add("c-c")
    @keys.add("<sigint>")
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt)

    return keys


def _terminal() -> Output:
    """The terminal, which is not asked for the cursor's position: some answer late, as text."""
    terminal = Vt100_Output.from_pty(sys.stdout)
    terminal.enable_cpr = False
    return terminal
