"""The lateness of an event loop, as a distribution: a standstill counts as every probe that it held up."""

from __future__ import annotations

import asyncio

import pytest

from rtcli.load.run.health.loop_watch import LoopWatch
from tests.support.load.contexts import user_context
from tests.support.waiting import until


async def test_a_probe_on_time() -> None:
    async with user_context() as user:
        watch = LoopWatch(user.worker, stall=0.02)
        watch.add_probe(user.worker.microseconds(1.0), user.worker.microseconds(1.0) + 700)
        lag = user.worker.store.trend("loop_lag", {})
        assert lag is not None
        assert (lag.count, lag.maximum) == (1, 0.0007)
        assert watch.take_stalls() == ()


async def test_a_stall_holds_up_a_probe_every_10_ms() -> None:
    async with user_context() as user:
        worker = user.worker
        watch = LoopWatch(worker, stall=0.02)
        watch.add_probe(worker.microseconds(1.0), worker.microseconds(2.0))
        lag = worker.store.trend("loop_lag", {})
        assert lag is not None
        assert lag.count == 101
        assert lag.percentile(50) == pytest.approx(0.5, rel=0.01)
        assert worker.store.count("loop_stalls", {}) == 1
        assert watch.take_stalls() == ((1.0, 2.0),)
        assert watch.take_stalls() == ()


async def test_what_thresholds_can_bear_is_no_stall() -> None:
    async with user_context() as user:
        watch = LoopWatch(user.worker, stall=0.2)
        watch.add_probe(user.worker.microseconds(1.0), user.worker.microseconds(1.15))
        assert watch.take_stalls() == ()


async def test_it_probes_until_it_is_cancelled() -> None:
    async with user_context() as user:
        watching = asyncio.create_task(LoopWatch(user.worker, stall=0.02).run())
        await until(lambda: user.worker.store.trend("loop_lag", {}) is not None)
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
