"""Small scenarios made at random, run against our own server: a sound server is never accused.

What varies: roles and their sizes, transports, rooms, joins and leaves, kills and cuts, back-offs, rates,
closed loops, arrivals, workers. What must not: nobody is said to have lost, repeated or misplaced anything.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from random import Random
from typing import Any

import pytest

from rtcli.load.results.model import RunResult, Verdict
from rtcli.load.run.own_server import own_server
from tests.support.load.runs import run

AT_ONCE = 6
log = logging.getLogger(__name__)
Role = dict[str, Any]


def scenario_text(seed: int) -> str:
    """A scenario of two to five roles in one to three rooms that nobody else uses; JSON is YAML."""
    rng = Random(seed)
    rooms = [f"s{seed}-{number}" for number in range(rng.randint(1, 3))]
    makers = rng.choices(
        [reader, mover, flaky, tail, flaky_tail, talker, flaky_talker, visitor], k=rng.randint(1, 4)
    )
    roles = {f"{make.__name__}{number}": make(rng, rooms) for number, make in enumerate(makers)}
    roles["writer"] = writer(rng, rooms)
    run_phase: dict[str, Any] = {"name": "run", "for": f"{rng.randint(700, 1500)}ms"}
    if rng.random() < 0.3:
        run_phase["cut"] = {"roles": [rng.choice(list(roles))], "share": "60%", "how": "rst", "at": "300ms"}
    if rng.random() < 0.3:
        run_phase["rates"] = "x3"
    phases = [
        {"name": "gather", "for": "400ms", "publish": "stop"},
        run_phase,
        {"name": "drain", "for": "300ms", "publish": "stop"},
    ]
    return json.dumps({"name": f"random-{seed}", "seed": seed, "phases": phases, "roles": roles})


def reader(rng: Random, rooms: list[str]) -> Role:
    joins = [{"join": room} for room in rng.sample(rooms, rng.randint(1, len(rooms)))]
    return {"users": rng.randint(1, 5), "flow": ["connect", *joins, "hold"]}


def writer(rng: Random, rooms: list[str]) -> Role:
    room = rng.choice(rooms)
    send = {"room": room, "rate": f"{rng.randint(2, 40)}/s", "spread": rng.choice(["even", "poisson"])}
    return {"users": rng.randint(1, 3), "flow": ["connect", {"join": room}, {"send": send}]}


def talker(rng: Random, rooms: list[str]) -> Role:
    room = rng.choice(rooms)
    loop = [{"send": {"room": room, "ack": rng.random() < 0.7, "text": "hello"}}, {"think": "exp(80ms)"}]
    return {"users": rng.randint(1, 3), "flow": ["connect", {"join": room}, {"loop": loop}]}


def flaky_talker(rng: Random, rooms: list[str]) -> Role:
    room = rng.choice(rooms)
    speaks: list[dict[str, object]] = [
        {"send": {"room": room, "ack": rng.random() < 0.7, "count": rng.randint(1, 3)}},
        {"send": {"room": room, "rate": "20/s", "for": "uniform(50ms, 300ms)"}},
    ]
    loop = [rng.choice(speaks), *again(rng)["loop"]]
    loop = [{"kill": "rst"} if "disconnect" in step else step for step in loop]  # that ends memberships
    return {"users": rng.randint(1, 3), "flow": ["connect", {"join": room}, {"loop": loop}]}


def mover(rng: Random, rooms: list[str]) -> Role:
    room, pause = rng.choice(rooms), {"think": "uniform(30ms, 200ms)"}
    loop = [{"join": room}, pause, {"leave": room}, pause]
    return {"users": rng.randint(1, 4), "flow": ["connect", {"loop": loop}]}


def again(rng: Random) -> Role:
    """Lose the connection, and come back, over and over."""
    kill: dict[str, object] = {"kill": rng.choice(["rst", "fin", "blackhole"])}
    if rng.random() < 0.3:
        kill = {"disconnect": 1000}
    return {"loop": [{"hold": "uniform(80ms, 500ms)"}, kill, {"backoff": "exp(20ms..200ms)"}, "resume"]}


def flaky(rng: Random, rooms: list[str]) -> Role:
    joins = [{"join": room} for room in rng.sample(rooms, rng.randint(1, len(rooms)))]
    return {"users": rng.randint(1, 4), "flow": ["connect", *joins, again(rng)]}


def tail(rng: Random, rooms: list[str]) -> Role:
    names = rng.sample(rooms, rng.randint(1, len(rooms)))
    return {"users": rng.randint(1, 4), "protocol": "sse", "flow": [{"connect": {"rooms": names}}, "hold"]}


def flaky_tail(rng: Random, rooms: list[str]) -> Role:
    return {**(role := tail(rng, rooms)), "flow": [role["flow"][0], again(rng)]}


def visitor(rng: Random, rooms: list[str]) -> Role:
    room = rng.choice(rooms)
    flow = ["connect", {"join": room}, {"send": {"room": room, "text": "here"}}, "hold"]
    return {"arrivals": f"{rng.randint(2, 10)}/s", "stay": "exp(400ms)", "flow": flow}


async def run_all(seeds: range, url: str, secret: str) -> dict[int, RunResult]:
    """Run them, a few at a time."""
    turn = asyncio.Semaphore(AT_ONCE)
    results: dict[int, RunResult] = {}

    async def one(seed: int) -> None:
        async with turn:
            results[seed] = await run(scenario_text(seed), url, workers=1 + seed % 4 // 3, secret=secret)

    await asyncio.gather(*(one(seed) for seed in seeds))
    return results


@pytest.mark.timeout(3600)
async def test_a_sound_server_is_never_accused(soak: bool) -> None:
    async with own_server({}, {}) as server:
        results = await run_all(range(1000 if soak else 6), server.url, server.secret)
    total = Counter[str]()
    for seed, result in sorted(results.items()):
        assert result.audit is not None
        assert not result.audit.violations, (seed, result.reasons, result.audit.violations[:3])
        assert result.verdict in {Verdict.PASSED, Verdict.INCONCLUSIVE}, (seed, result.reasons)
        total.update(result.audit.counts)
        assert result.accounts is not None
        sends = result.accounts.sends
        own = sum(missing.count for missing in sends.shortfalls if missing.own)  # on a busy machine
        assert sends.due == sends.accepted + sends.excused + own > 0, (seed, sends)
    log.info("%d runs, %s", len(results), dict(total))
    assert total["expected"] == total["delivered"] > 20 * len(results)
