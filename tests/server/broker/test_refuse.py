"""Requests that fail: who awaits one is told, and nothing is left to the garbage collector."""

from __future__ import annotations

import asyncio
import gc

import pytest

from rtcli_server.broker import BrokerUnavailableError, refuse


async def test_who_awaits_it_is_told(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    awaited, forgotten = loop.create_future(), loop.create_future()
    for future in (awaited, forgotten):
        refuse(future, "Redis is away")
    with pytest.raises(BrokerUnavailableError, match="Redis is away"):
        await awaited
    del forgotten, future
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_one_that_is_over_stays_as_it_is() -> None:
    answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    answered.set_result(7)
    refuse(answered, BrokerUnavailableError("too late"))
    assert await answered == 7
    cancelled: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    refuse(cancelled, "too late")
    assert cancelled.cancelled()
