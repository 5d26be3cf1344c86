"""`rtcli chat` line by line: with --plain, and on terminals that can do no more."""

from __future__ import annotations

import asyncio
import time

from rtcli import Client
from rtcli.apps.chat.controller import Controller, unsent_lines
from rtcli.apps.chat.input import MAX_LINE_BYTES
from rtcli.apps.chat.model import ChatModel, Line, fold_presence
from rtcli.apps.chat.typing_throttle import TypingThrottle
from rtcli.errors import Exit
from rtcli.terminal.console import Console
from rtcli.terminal.stdin import read_lines


class PlainChat:
    """One run without a status line. The terminal edits the line; nothing is redrawn."""

    def __init__(
        self,
        rooms: tuple[str, ...],
        history: int,
        console: Console,
        client: Client,
    ) -> None:
        self._rooms = rooms
        self._console = console
        self._left = asyncio.Event()
        self.controller = Controller(
            ChatModel(wide=False),
            history=history,
            show=self._show,
            leave=self._left.set,
            clear=lambda: None,
            clock=time.monotonic,
            client=client,
            typing=TypingThrottle(enabled=False),  # the text is not known before it is entered
        )
        self.client = client

    def _show(self, lines: list[Line]) -> None:
        self._console.write_lines(
            "".join(self._console.style(text, *styles) for text, styles in line.pieces)
            for line in fold_presence(lines)
        )

    async def run(self) -> int:
        """Run until the person leaves; returns the exit code. Raises CliError when it cannot reconnect."""
        self.controller.join(self._rooms)
        talking = asyncio.ensure_future(self.controller.follow())
        typing = asyncio.ensure_future(self._read())
        leaving = asyncio.ensure_future(self._left.wait())
        tasks = (talking, typing, leaving)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not talking.done():
                await self.client.close()
            await talking
            if typing.done():
                typing.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.client.close()
            self._show(unsent_lines(self.client))
        return Exit.CANNOT_CONNECT if self.client.unconfirmed else Exit.OK

    async def _read(self) -> None:
        async for line in read_lines(max_bytes=MAX_LINE_BYTES):
            await self.controller.enter(line or "")
        while self.client.unconfirmed:  # noqa: ASYNC110 - until the last acknowledgement or Ctrl-C
            await asyncio.sleep(0.05)
