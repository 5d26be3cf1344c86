"""One run of `rtcli ws` as its options describe it."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from rtcli.apps.ws.expectations import Wanted
from rtcli.apps.ws.input import from_arguments, from_stdin, from_whole_stdin
from rtcli.apps.ws.outgoing import Encoding, Outgoing
from rtcli.apps.ws.output import Output, OutputOptions
from rtcli.apps.ws.recording import Recording
from rtcli.apps.ws.session import Session, SessionOptions
from rtcli.client.backoff import Reconnect
from rtcli.client.connection import Connection
from rtcli.client.raw.connection import RawTarget
from rtcli.terminal.console import console

DEFAULT_PATH = "/"


@dataclass(frozen=True)
class Input:
    """Where messages come from."""

    arguments: tuple[Outgoing, ...] = ()
    read_stdin: bool = True
    whole: bool = False
    encoding: Encoding | None = None
    slash: bool = False

    def messages(self) -> AsyncIterator[Outgoing]:
        """The messages, as they come."""
        if self.arguments or not self.read_stdin:
            return from_arguments(self.arguments)
        if self.whole:
            return from_whole_stdin(self.encoding)
        return from_stdin(self.encoding, slash=self.slash)


@dataclass(frozen=True)
class WsPlan:
    """The options of one run, read and checked."""

    connection: Connection
    path: str  # when the address has none
    headers: tuple[tuple[str, str], ...]
    subprotocols: tuple[str, ...]
    max_bytes: int
    input: Input
    output: OutputOptions
    session: SessionOptions
    wanted: Wanted
    record: Path | None
    interactive: bool
    wait_s: float | None  # how long to keep trying the first connection

    async def run(self) -> int:
        """Run to the end; returns the exit code. Raises CliError."""
        recording = None if self.record is None else Recording(self.record)
        try:
            return await (self._run_on_screen(recording) if self.interactive else self._run(recording))
        finally:
            if recording is not None:
                recording.close()

    async def _run(self, recording: Recording | None) -> int:
        output = Output(self.output, console, recording=recording)
        return await self._make_session(output, self.input.messages()).run()

    async def _run_on_screen(self, recording: Recording | None) -> int:
        from rtcli.apps.ws.screen import TerminalScreen  # noqa: PLC0415 - prompt_toolkit is slow to import

        screen = TerminalScreen(console, self.input.encoding, slash=self.input.slash)
        output = Output(self.output, console, recording=recording, screen=screen)
        return await screen.run(self._make_session(output, screen.messages()))

    def _make_session(self, output: Output, messages: AsyncIterator[Outgoing]) -> Session:
        return Session(
            self.session,
            target=self._target,
            wanted=self.wanted,
            output=output,
            messages=messages,
            reconnect=Reconnect(random.Random(), started=time.monotonic(), wait_s=self.wait_s),  # noqa: S311 - jitter
        )

    def _target(self) -> RawTarget:
        """What to connect to next. The token may be a new one."""
        connection = self.connection
        headers = self.headers
        if not any(name.lower() == "authorization" for name, _ in headers):
            token = connection.token()
            headers += () if token is None else (("Authorization", f"Bearer {token}"),)
        return RawTarget(
            url=connection.endpoint.ws_url(self.path),
            where=connection.endpoint.authority,
            ssl=connection.ssl_context(),
            headers=headers,
            subprotocols=self.subprotocols,
            proxy=connection.proxy,
            max_bytes=self.max_bytes,
        )
