"""The clock is audited: what users suffer shows, and what the generator does itself is not the server's."""

from __future__ import annotations

import asyncio
import time

import pytest

from rtcli.load.results.model import RunResult, Verdict
from tests.support.fakes.faulty_server.faults import Faults
from tests.support.fakes.faulty_server.server import faulty_server
from tests.support.load.own_health import assert_threshold_broken, names_its_loop
from tests.support.load.runs import run
from tests.support.load.workers import background, stop_and_go

STALL_EVERY_S = 2.5
STALL_S = 0.5

SCHEDULED_AND_PATIENT = """
    name: stalling
    seed: 11
    phases:
      - { name: gather, for: 500ms, publish: stop }
      - { name: run, for: 5s }
      - { name: drain, for: 1s, publish: stop }
    roles:
      writer: { users: 3, flow: [connect, { join: table }, { send: { room: table, rate: 40/s } }] }
      patient:
        users: 1
        flow: [connect, { join: own }, { loop: [{ send: own }, { think: 10ms }] }]
    thresholds:
      fanout_latency{role:writer}: ["p(99) < 300ms", "p(95) < 1s"]
      fanout_service{role:patient}: ["p(90) < 100ms"]
"""


class Standstills:
    """Watches how long the event loop of this process, which is that of the server, stands still."""

    longest_s = 0.0

    async def watch(self) -> None:
        while True:
            due = time.monotonic() + 0.01
            await asyncio.sleep(0.01)
            self.longest_s = max(self.longest_s, time.monotonic() - due)


def percentile(result: RunResult, selector: str) -> float:
    """The value of a threshold."""
    (value,) = [it.value for it in result.thresholds if it.selector == selector][:1]
    assert value is not None
    return value


async def test_a_stall_shows_as_what_the_users_suffered() -> None:
    """A fifth of the time the server stands still; who sends then waits for what is left of the stall.

    So a fifth of the latencies is spread evenly from 0 to 500 ms: one in a hundred is over 475 ms. Somebody
    who waits for each answer before sending again meets each stall once, and reports next to nothing. On a
    busy machine it is more: by how late the server and the load generator were.
    """
    server_stood = Standstills()
    async with (
        faulty_server(Faults({})) as server,
        background(server_stood.watch()),
        background(server.stall(STALL_EVERY_S, STALL_S)),
    ):
        result = await run(SCHEDULED_AND_PATIENT, server.url)
    share = STALL_S / STALL_EVERY_S
    suffered = percentile(result, "fanout_latency{role:writer}")
    own = sum(result.metrics[name].max or 0.0 for name in ("schedule_lag", "loop_lag"))
    expected, later = STALL_S * (1 - 0.01 / share), max(0.0, server_stood.longest_s - STALL_S) + own
    assert 0.75 * expected < suffered < 1.25 * expected + later
    assert percentile(result, "fanout_service{role:patient}") < 0.1 + later
    assert_threshold_broken(result, "fanout_latency{role:writer}")
    assert later > 0.1 or [it.outcome for it in result.thresholds] == ["failed", "passed", "passed"]


SLOWED = """
    name: slowed
    seed: 12
    phases:
      - { name: run, for: 3s }
      - { name: drain, for: 500ms, publish: stop }
    roles:
      writer: { users: 2, flow: [connect, { join: table }, { send: { room: table, rate: 40/s } }] }
    thresholds: { fanout_latency: ["p(95) < 50ms"] }
"""


async def test_a_slowed_generator_is_inconclusive_and_not_red() -> None:
    async with faulty_server(Faults({})) as server, background(stop_and_go()):
        result = await run(SLOWED, server.url)
    (threshold,) = result.thresholds
    assert threshold.outcome == "inconclusive"
    assert "the load generator was the bottleneck" in threshold.reason
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.exit_code == 96
    assert result.generator.stalls > 0
    assert result.audit is not None
    assert not result.audit.violations


STARVED = """
    name: starved
    seed: 13
    phases:
      - { name: run, for: 2s }
      - { name: drain, for: 500ms, publish: stop }
    roles:
      writer: { users: 1, flow: [connect, { join: table }, { send: { room: table, rate: 40/s } }] }
      reader: { users: 8, flow: [connect, { join: table }, hold] }
    thresholds: { fanout_latency: ["p(95) < 30ms"] }
"""


@pytest.mark.parametrize("workers", [2, 3])
async def test_a_receiver_that_gets_too_little_processor_time_is_not_the_server(workers: int) -> None:
    """All users of the last worker only receive. Its pauses are short, but the threshold is tight.

    The worker that sends is on time, so the sends say nothing about it.
    """
    starving = stop_and_go(first=workers - 1, go=0.06, stop=0.12)
    async with faulty_server(Faults({})) as server, background(starving):
        result = await run(STARVED, server.url, workers=workers)
    (threshold,) = result.thresholds
    assert threshold.outcome == "inconclusive"
    assert result.exit_code == 96
    own = result.generator
    assert own.stalls > 0
    assert own.flagged_seconds > 0
    assert own.loop_lag_p99 is not None
    assert own.loop_lag_p99 > 0.02
    assert any(names_its_loop(row, late_s=0.12) for row in result.timeline)
    assert result.audit is not None
    assert not result.audit.violations


async def test_a_threshold_without_data_fails() -> None:
    async with faulty_server(Faults({})) as server:
        result = await run(
            SLOWED.replace("fanout_latency", "recovery_time").replace("for: 3s", "for: 300ms"), server.url
        )
    (threshold,) = result.thresholds
    assert (threshold.outcome, threshold.reason) == ("failed", "there is no data")
    assert result.exit_code == 99
