"""One run of `rtcli ws`: connect, send, receive, end in order, and connect again if that is wanted."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass

from websockets.exceptions import ConcurrencyError
from websockets.http11 import Request

from rtcli.apps.ws.expectations import Wanted
from rtcli.apps.ws.outgoing import COMMANDS, Close, Help, Outgoing, Ping, Pong, Send
from rtcli.apps.ws.output import Output
from rtcli.apps.ws.verdict import judge
from rtcli.client.backoff import Reconnect
from rtcli.client.failures import ConnectionLostError, Failure
from rtcli.client.raw.connection import RawTarget
from rtcli.client.raw.ending import Ending
from rtcli.client.raw.frames import Assembler, Direction, InvalidMessageError
from rtcli.client.raw.socket import CLOSE_TIMEOUT_S, GoneError, RawSocket, connect, rejection
from rtcli.errors import Exit
from rtcli.units import format_duration

_MAX_PINGS = 100  # that are not answered; then the input waits
NORMAL_CLOSE = Close()


@dataclass(frozen=True)
class SessionOptions:
    """What is sent on each connection, and when it ends."""

    on_open: tuple[Outgoing, ...] = ()
    linger_s: float | None = None  # of silence after the input; None: until all came that is wanted
    default_linger_s: float = 1.0  # when nothing is wanted
    close: Close = NORMAL_CLOSE
    ping_interval_s: float | None = 20.0
    reconnect: bool = False


class Session:
    """Talks with one server. The input is read only as fast as it is sent."""

    def __init__(
        self,
        options: SessionOptions,
        *,
        target: Callable[[], RawTarget],
        wanted: Wanted,
        output: Output,
        messages: AsyncIterator[Outgoing],
        reconnect: Reconnect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._target = target
        self._wanted = wanted
        self._output = output
        self._messages = messages
        self._reconnect = reconnect
        self._clock = clock
        self._input: asyncio.Queue[Outgoing | Exception | None] = asyncio.Queue(maxsize=1)
        self._in_hand: Outgoing | Exception | None = None  # not sent yet
        self._input_over = self._leaving = False
        self._enough = asyncio.Event()
        self._lost_at: float | None = None
        self._heard = asyncio.Event()  # a message came
        self._pings: set[asyncio.Task[None]] = set()  # not answered yet
        self._opened_at = 0.0
        self.connected = False

    async def run(self) -> int:
        """Run to the end; returns the exit code. Raises CliError."""
        reading = asyncio.ensure_future(self._read())
        try:
            while True:
                failure = await self._attempt()
                if failure is None:
                    return Exit.OK
                await self._pause(failure)
        finally:
            await _cancel(reading)

    def leave(self) -> None:
        """Let the end of the input be the end: nothing is waited for any more."""
        self._leaving = True

    async def _read(self) -> None:
        try:
            async for message in self._messages:
                await self._input.put(message)
            await self._input.put(None)
        except Exception as error:  # noqa: BLE001 - whoever sends raises it, when all before it is sent
            await self._input.put(error)

    async def _pause(self, failure: Failure) -> None:
        """Wait for the next attempt. Raises the failure's error when there is none."""
        now = self._clock()
        if self._reconnect.ever_connected and not self._options.reconnect:
            raise failure.error
        self._lost_at = now if self._lost_at is None else self._lost_at
        delay = self._reconnect.delay(failure, now=now)
        await self._output.status(f"lost ({failure.reason}), retrying in {format_duration(delay)}")
        await asyncio.sleep(delay)

    async def _attempt(self) -> Failure | None:
        """Connect, and talk until the end; returns why it has to be done again, if at all."""
        target = self._target()
        started = self._clock()
        requests: list[Request] = []
        try:
            socket = await connect(target, on_request=requests.append)
        except ConnectionLostError as lost:
            request = requests[-1] if requests else None
            await self._output.handshake(request, rejection(lost), self._clock() - started)
            return lost.failure
        away_s = (
            None if self._lost_at is None or not self._reconnect.ever_connected else started - self._lost_at
        )
        self._lost_at = None
        self._opened_at = self._clock()
        self._reconnect.opened(self._opened_at)
        self.connected = True
        try:
            ending = await self._talk(socket, away_s, self._opened_at - started)
        finally:
            self.connected = False
        return judge(ending, target.where, self._wanted, unsent=self._is_unsent())

    async def _talk(self, socket: RawSocket, away_s: float | None, took_s: float) -> Ending:
        tasks: list[asyncio.Future[None]] = []

        def start(main: Coroutine[object, object, None]) -> asyncio.Future[None]:
            tasks.append(asyncio.ensure_future(main))
            return tasks[-1]

        receiving: asyncio.Future[None] | None = None
        close = self._options.close
        try:
            await self._output.handshake(socket.request, socket.response, took_s)
            await self._output.opened(socket.subprotocol, away_s)
            receiving = start(self._receive(socket))
            feeding = start(self._feed(socket))
            if self._options.ping_interval_s is not None:
                start(socket.keep_alive(self._options.ping_interval_s))
            enough = start(self._until_enough())
            await asyncio.wait((receiving, feeding, enough), return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done():
                if feeding.done():
                    feeding.result()
                await socket.close(close.code, close.reason)
            await receiving
        finally:
            await self._leave(socket, receiving)
            await _cancel(*tasks, *self._pings)
        await self._output.closed(socket.ending)
        return socket.ending

    async def _leave(self, socket: RawSocket, receiving: asyncio.Future[None] | None) -> None:
        """Close the connection, whatever has ended the conversation, and break it off if need be."""
        ended = receiving is not None and receiving.done() and not receiving.cancelled()
        if receiving is not None and ended and receiving.exception() is None:
            return
        await socket.close(self._options.close.code, self._options.close.reason)
        socket.abort()
        if receiving is not None:  # what has come already is still written
            await asyncio.wait((receiving,), timeout=CLOSE_TIMEOUT_S)

    async def _until_enough(self) -> None:
        await self._enough.wait()

    # -- what comes ----------------------------------------------------------------------------------------

    async def _receive(self, socket: RawSocket) -> None:
        """Write what comes until the connection has ended; no data after all came that was wanted."""
        assembler = Assembler()
        while (frame := await socket.frame()) is not None:
            await self._output.frame(frame, self._clock() - self._opened_at)
            try:
                message = assembler.feed(frame)
            except InvalidMessageError as error:
                await socket.close(error.code, problem=f"sent {error}")
                continue
            if message is None or (message.is_data and self._enough.is_set()):
                continue
            await self._output.message(message)
            if message.is_data and message.direction is Direction.IN:
                self._heard.set()
                self._wanted.see(message)
                if self._wanted.is_over:
                    self._enough.set()

    # -- what is sent --------------------------------------------------------------------------------------

    async def _feed(self, socket: RawSocket) -> None:
        """Send what is sent on each connection, then the input; what is in hand when it is lost, again."""
        with contextlib.suppress(GoneError):
            for message in self._options.on_open:
                await self._perform(socket, message)
            while not self._input_over:
                if self._in_hand is None:
                    self._in_hand = await self._input.get()
                    self._input_over = self._in_hand is None
                if isinstance(self._in_hand, Exception):
                    raise self._in_hand
                if self._in_hand is not None:
                    await self._perform(socket, self._in_hand)
                    is_end = isinstance(self._in_hand, Close)
                    self._in_hand = None
                    if is_end:
                        return
            await self._linger()
            return
        await asyncio.Future()  # the end is told by who receives

    async def _linger(self) -> None:
        """Wait until the server was silent for as long as it should be after the end of the input."""
        linger_s = self._options.linger_s
        if linger_s is None:
            linger_s = math.inf if self._wanted.is_anything else self._options.default_linger_s
        if self._leaving:
            return
        if math.isinf(linger_s):
            await asyncio.Future()
        with contextlib.suppress(TimeoutError):
            while True:
                self._heard.clear()
                async with asyncio.timeout(linger_s):
                    await self._heard.wait()

    async def _perform(self, socket: RawSocket, message: Outgoing) -> None:
        match message:
            case Send(data):
                await socket.send(data)
            case Ping(payload):
                while len(self._pings) >= _MAX_PINGS:
                    await asyncio.wait(self._pings, return_when=asyncio.FIRST_COMPLETED)
                ping = asyncio.ensure_future(self._ping(socket, payload))
                self._pings.add(ping)
                ping.add_done_callback(self._pings.discard)
            case Pong(payload):
                await socket.pong(payload)
            case Close(code, reason):
                await socket.close(code, reason)
            case Help():
                for line in COMMANDS.values():
                    await self._output.status(line)

    async def _ping(self, socket: RawSocket, payload: bytes) -> None:
        try:
            round_trip_s = await socket.ping(payload or None)
        except ConcurrencyError:
            await self._output.status("a ping with that text is not answered yet")
        except GoneError:
            return
        else:
            await self._output.status(f"pong after {round_trip_s * 1000:.1f} ms")

    def _is_unsent(self) -> bool:
        """Whether there is more to send."""
        if self._in_hand is None and not self._input_over and not self._input.empty():
            self._in_hand = self._input.get_nowait()
            self._input_over = self._in_hand is None
        return self._in_hand is not None


async def _cancel(*tasks: asyncio.Future[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
