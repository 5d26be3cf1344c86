"""`rtcli chat` in a pipe: lines in become messages, messages become lines out.

It connects first and then reads stdin, so that no line is lost without a server. At the end of stdin it waits
for the acknowledgements. Lines without one make the exit code 3.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from rtcli import Acked, Client, ClientEvent, JoinRefused, Message, Rejected, RtcliError, TypingChanged
from rtcli.apps.chat.input import MAX_LINE_BYTES, MAX_UNSENT
from rtcli.apps.chat.render import plain_line, record, sentence
from rtcli.errors import CliError, Exit
from rtcli.protocol.rooms import ROOM_RULE, nfc
from rtcli.terminal.console import Console
from rtcli.terminal.stdin import read_lines


class Frame(msgspec.Struct, forbid_unknown_fields=True):
    """A line of stdin with --json that begins with `{`."""

    text: str
    room: str | None = None


@dataclass(frozen=True)
class PipeOptions:
    """How to run in a pipe."""

    rooms: tuple[str, ...]  # plain lines go to the first one
    read_stdin: bool = True
    json: bool = False
    typing_events: bool = False
    show_own: bool = False
    history: int = 0
    count: int | None = None  # number of messages of others, after which it ends
    linger_s: float = 0.0  # stay that long after the end of stdin
    ack_timeout_s: float = 30.0


class Pipe:
    """One run; `run` returns the exit code or raises CliError."""

    def __init__(self, options: PipeOptions, console: Console, timestamp: Callable[[], str]) -> None:
        self._options = options
        self._console = console
        self._timestamp = timestamp
        self._changed = asyncio.Event()  # something was acknowledged, rejected or joined
        self._enough = asyncio.Event()
        self._seen = 0
        self._lines: dict[str, int] = {}  # id of each unacknowledged text → its line of stdin
        self._failure: CliError | None = None

    # -- events --------------------------------------------------------------------------------------------

    def on_event(self, event: ClientEvent) -> None:
        """Write the event, and record acknowledgements and errors."""
        match event:
            case Message():
                self._on_message(event)
            case JoinRefused():
                self._failure = _not_let_in(event)
            case Rejected():
                self._reject(self._lines.pop(event.id, 0), event.message, event.code)
            case Acked():
                self._lines.pop(event.id, None)
        if not isinstance(event, Message):
            self._write(event)
        self._changed.set()

    def _on_message(self, message: Message) -> None:
        if message.own and not self._options.show_own:
            return
        self._write(message)
        self._seen += 0 if message.own else 1
        if self._options.count is not None and self._seen >= self._options.count:
            self._enough.set()

    def _write(self, event: ClientEvent) -> None:
        if self._enough.is_set():
            return
        text = sentence(event)
        if text is not None and not isinstance(event, JoinRefused | Rejected):
            self._console.status(text)
        if self._options.json:
            written = record(event, now=self._timestamp())
            if written is not None and (not isinstance(event, TypingChanged) or self._options.typing_events):
                self._console.write_json(written)
        elif isinstance(event, Message):
            self._console.write_line(plain_line(event))

    def _reject(self, line: int, why: str, code: str) -> None:
        exit_code = Exit.AUTH if code == "forbidden" else Exit.SERVER
        self._failure = CliError(f"line {line} was not sent: {why}", exit_code=exit_code)
        self._console.warning(self._failure.message)

    # -- the run -------------------------------------------------------------------------------------------

    async def run(self, client: Client) -> int:
        """Connect, join, send the lines of stdin, and end in order."""
        for room in self._options.rooms:
            client.join(room, history=self._options.history)
        talking = asyncio.ensure_future(self._follow(client))
        feeding = asyncio.ensure_future(self._feed(client))
        enough = asyncio.ensure_future(self._enough.wait())
        try:
            await asyncio.wait((talking, feeding, enough), return_when=asyncio.FIRST_COMPLETED)
            if talking.done():
                talking.result()  # lost for good
            if feeding.done():
                feeding.result()
            await client.close()
            await talking
        except RtcliError:
            self._report_unconfirmed(client)
            if self._failure is not None:
                raise self._failure from None
            raise
        finally:
            for task in (talking, feeding, enough):
                task.cancel()
            await asyncio.gather(talking, feeding, enough, return_exceptions=True)
            await client.close()
        return self._outcome(client)

    async def _follow(self, client: Client) -> None:
        updates = client.updates()
        client.start()
        async for event in updates:
            self.on_event(event)

    def _outcome(self, client: Client) -> int:
        if client.unconfirmed:
            self._report_unconfirmed(client)
            raise CliError(
                f"{len(client.unconfirmed)} of the lines were not confirmed",
                hint="they may or may not have arrived",
                exit_code=Exit.CANNOT_CONNECT,
            )
        if self._failure is not None:
            raise self._failure
        return Exit.OK

    def _report_unconfirmed(self, client: Client) -> None:
        if client.unconfirmed and self._lines:
            numbers = ", ".join(str(number) for number in sorted(self._lines.values())[:20])
            self._console.warning(f"not confirmed: line {numbers}")

    async def _feed(self, client: Client) -> None:
        await self._until(lambda: client.settled or self._failure is not None)
        if self._failure is not None:
            raise self._failure
        if not self._options.read_stdin:
            await asyncio.Future()  # until something else ends it
        number = 0
        async for line in read_lines(max_bytes=MAX_LINE_BYTES):
            number += 1
            self._send(client, number, line)
            await self._until(lambda: len(client.unconfirmed) < MAX_UNSENT)
        try:
            async with asyncio.timeout(self._options.ack_timeout_s):
                await self._until(lambda: not client.unconfirmed)
        except TimeoutError:
            return
        if math.isinf(self._options.linger_s):
            await asyncio.Future()
        await asyncio.sleep(self._options.linger_s)

    def _send(self, client: Client, number: int, line: str | None) -> None:
        if line is None:
            self._reject(number, f"it is longer than {MAX_LINE_BYTES} bytes", "too_long")
            return
        room, text = self._options.rooms[0], line
        if self._options.json and line.startswith("{"):
            frame = self._frame(number, line)
            room, text = nfc(frame.room or room), frame.text
        if not text:
            return
        try:
            self._lines[client.send(room, text)] = number
        except RtcliError as error:
            self._reject(number, error.message, "too_long")

    def _frame(self, number: int, line: str) -> Frame:
        try:
            return msgspec.json.decode(line, type=Frame)
        except (msgspec.DecodeError, UnicodeEncodeError):
            raise CliError(
                f"line {number} begins with a brace and is no frame",
                hint='with --json: {"text": "hello", "room": "general"}',
            ) from None

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()


def _not_let_in(refused: JoinRefused) -> CliError:
    if refused.code == "forbidden":
        return CliError(
            f"not allowed in #{refused.room}",
            hint="see which rooms your token may join: rtcli token inspect",
            exit_code=Exit.AUTH,
        )
    if refused.code == "invalid_room":
        return CliError(f"#{refused.room} cannot be a room", hint=ROOM_RULE)
    return CliError(
        f"not let into #{refused.room}: {refused.message} ({refused.code})", exit_code=Exit.SERVER
    )
