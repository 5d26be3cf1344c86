"""Each bundled scenario passes on our server, and fails on one that has the fault it asks about.

They run for a shorter time here, with fewer users; what they do is what the files say.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

import pytest

from rtcli.client.endpoint import parse_endpoint
from rtcli.load.core.context import Credentials
from rtcli.load.results.model import RunResult, Verdict
from rtcli.load.run.coordinator import Coordinator
from rtcli.load.run.own_server import own_server
from rtcli.load.run.progress import SilentProgress
from rtcli.load.run.result import make_result
from rtcli.load.run.target import make_spec
from rtcli.load.scenario.loader import bundled_names, load_scenario
from rtcli.load.scenario.model import Scenario
from tests.support.fakes.faulty_server.faults import Faults
from tests.support.fakes.faulty_server.server import faulty_server
from tests.support.load.own_health import assert_threshold_broken
from tests.support.load.runs import SECRET

SHORT: dict[str, Sequence[str]] = {
    "smoke": ("phases.steady.for=1s",),
    "fanout": ("phases.ramp.for=1s", "phases.steady.for=2s", "phases.peak.for=1s", "roles.reader.users=60"),
    "chat-rooms": (
        "phases.opening.for=1s",
        "phases.evening.for=2s",
        "phases.rush.for=1s",
        "phases.drain.for=500ms",
        "roles.regular.flow.2.send.rate=2/s",
    ),
    "sse-resume": (
        "phases.ramp.for=500ms",
        "phases.flapping.for=2s",
        "phases.cut.for=1500ms",
        "phases.drain.for=1s",
        "roles.tail.users=15",
        "roles.flaky.users=10",
        "roles.flaky.flow.1.loop.0={hold: 'uniform(200ms, 900ms)'}",
    ),
    "reconnect-storm": (
        "phases.ramp.for=1s",
        "phases.calm.for=1s",
        "phases.storm.for=3s",
        "phases.half.for=1s",
        "phases.drain.for=1s",
        "roles.reader.users=40",
        "roles.tail.users=10",
    ),
    "slow-consumer": (
        "phases.ramp.for=500ms",
        "phases.steady.for=4s",
        "phases.drain.for=500ms",
        "roles.writer.flow.2.send.rate=40/s",
        "roles.reader.users=5",
        "roles.slow.users=2",
        "target.serve.slow_deadline_s=1",
    ),
    "mixed": (
        "phases.ramp.for=500ms",
        "phases.steady.for=2s",
        "phases.peak.for=1s",
        "phases.storm.for=3s",
        "phases.drain.for=1s",
        "roles.reader.users=30",
        "roles.tail.users=10",
        "roles.flaky.flow.2.loop.0={hold: 'uniform(300ms, 1s)'}",
    ),
}


def short(name: str, *more: str) -> Scenario:
    return load_scenario(name, overrides=[*SHORT[name], *more])


async def run(scenario: Scenario, url: str, secret: str) -> RunResult:
    spec = await make_spec(
        scenario, parse_endpoint(url), Credentials(secret=secret), workers=1, unix_start=time.time()
    )
    return make_result(await Coordinator(spec, SilentProgress()).run())


async def run_on_ours(scenario: Scenario) -> RunResult:
    async with own_server({}, scenario.target.serve) as server:
        return await run(scenario, server.url, server.secret)


def test_every_bundled_scenario_is_here() -> None:
    assert sorted(SHORT) == bundled_names()


@pytest.mark.parametrize("name", sorted(SHORT))
async def test_it_passes_on_our_server(name: str) -> None:
    result = await run_on_ours(short(name))
    audit = result.audit
    assert audit is not None
    assert audit.counts["delivered"] == audit.counts["expected"] > 50
    assert audit.found == 0, result.reasons
    assert result.accounts is not None
    users = result.accounts.users
    assert users.planned == users.present >= 11
    assert users.shortfalls == ()
    assert {role.share for role in users.roles} == {1.0}
    assert result.accounts.deliveries.missed == 0
    sends = result.accounts.sends
    assert sends.due == sends.accepted + sends.excused > 10
    assert [threshold for threshold in result.thresholds if threshold.value is None] == []


@pytest.mark.parametrize(
    ("name", "faults", "victims", "kind"),
    [
        ("smoke", {"drop": 0.1}, ("reader",), "lost"),
        ("chat-rooms", {"leak": 0.2}, ("regular",), "leak"),
        ("sse-resume", {"lie": 0.5}, ("flaky", "tail"), "resume_gap"),
        ("reconnect-storm", {"lie": 0.5}, ("reader", "tail"), "resume_gap"),
        ("mixed", {"swap": 0.2}, ("reader", "tail"), "reordered"),
    ],
)
async def test_it_fails_on_a_server_with_the_fault(
    name: str, faults: dict[str, float], victims: tuple[str, ...], kind: str
) -> None:
    async with faulty_server(Faults(faults, victims=victims)) as server:
        result = await run(short(name), server.url, SECRET)
    assert result.verdict is Verdict.VIOLATION
    assert result.audit is not None
    assert result.audit.counts[kind] > 0


async def test_fanout_fails_on_a_server_that_stands_still() -> None:
    async with faulty_server(Faults({})) as server:
        standing = asyncio.ensure_future(server.stall(1.5, 1.0))
        result = await run(short("fanout"), server.url, SECRET)
        standing.cancel()
        with suppress(asyncio.CancelledError):
            await standing
    assert_threshold_broken(result, "fanout_latency{phase:steady}")


async def test_slow_consumer_fails_on_a_server_that_never_sheds_them() -> None:
    result = await run_on_ours(short("slow-consumer", "target.serve.slow_deadline_s=600"))
    assert result.verdict is Verdict.THRESHOLD
    failed = [threshold.selector for threshold in result.thresholds if threshold.outcome == "failed"]
    assert failed == ["close{role:slow}"]
