"""What the installed command shows too late or not at all: delays after losses."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import count

import pytest
from typing_extensions import override

import rtcli.client.raw.socket as socket_module
from rtcli.apps.ws.expectations import Wanted
from rtcli.apps.ws.input import from_arguments
from rtcli.apps.ws.outgoing import Outgoing, Send
from rtcli.apps.ws.output import Output, OutputOptions
from rtcli.apps.ws.session import Session, SessionOptions
from rtcli.client.backoff import GOOD_S, Reconnect
from rtcli.client.failures import Failure
from rtcli.client.raw.connection import RawTarget
from rtcli.errors import CliError
from rtcli.terminal.console import Console
from tests.support.fakes.liars import frame_head, lying_websocket
from tests.support.longest_delays import LongestDelays
from tests.support.waiting import until

GOING_AWAY = frame_head(8, 2) + (1001).to_bytes(2, "big")


class RecordedReconnect(Reconnect):
    def __init__(self) -> None:
        super().__init__(LongestDelays(), started=0.0, base_s=0.001)
        self.delays: list[float] = []

    @override
    def delay(self, failure: Failure, *, now: float) -> float:
        self.delays.append(super().delay(failure, now=now))
        return self.delays[-1]


@pytest.mark.parametrize("lasts_s", [0.0, GOOD_S])
async def test_a_server_that_closes_at_once_is_left_alone_for_longer_each_time(lasts_s: float) -> None:
    connections = 0
    ticks = count(step=lasts_s or 1e-9)  # each look at the clock is so much later

    async def close_at_once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(GOING_AWAY)
        await writer.drain()

    async with lying_websocket(close_at_once) as port:
        where = f"127.0.0.1:{port}"
        reconnect = RecordedReconnect()
        console = Console()
        console.quiet = True
        session = Session(
            SessionOptions(reconnect=True, linger_s=float("inf"), ping_interval_s=None),
            target=lambda: RawTarget(f"ws://{where}/", where),
            wanted=Wanted(),
            output=Output(OutputOptions(where), console),
            messages=from_arguments(()),
            reconnect=reconnect,
            clock=lambda: next(ticks),
        )
        running = asyncio.ensure_future(session.run())
        await until(lambda: connections > 4 or running.done(), why="it does not come back")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        growing = [0.001, 0.002, 0.004, 0.008]
        assert reconnect.delays[:4] == (growing if lasts_s == 0.0 else [0.001] * 4)


async def test_without_reconnect_a_loss_is_the_end() -> None:
    async def close_at_once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GOING_AWAY)
        await writer.drain()

    async with lying_websocket(close_at_once) as port:
        where = f"127.0.0.1:{port}"
        session = Session(
            SessionOptions(linger_s=float("inf")),
            target=lambda: RawTarget(f"ws://{where}/", where),
            wanted=Wanted(),
            output=Output(OutputOptions(where), Console()),
            messages=from_arguments(()),
            reconnect=Reconnect(random.Random(1), started=0.0),
        )
        with pytest.raises(CliError, match="it is going away") as caught:
            await session.run()
        assert caught.value.exit_code == 3


async def test_what_fails_while_the_input_is_read_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "CLOSE_TIMEOUT_S", 0.05)  # this server closes nothing

    async def wait(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.wait_closed()

    async def broken() -> AsyncIterator[Outgoing]:
        yield Send("one")
        raise RuntimeError("broken")

    async with lying_websocket(wait) as port:
        where = f"127.0.0.1:{port}"
        session = Session(
            SessionOptions(),
            target=lambda: RawTarget(f"ws://{where}/", where),
            wanted=Wanted(),
            output=Output(OutputOptions(where), Console()),
            messages=broken(),
            reconnect=Reconnect(random.Random(1), started=0.0),
        )
        async with asyncio.timeout(20):
            with pytest.raises(RuntimeError, match="broken"):
                await session.run()
