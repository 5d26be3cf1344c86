"""The auditor is audited: a server that fails at recorded places, and every fault named, nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import count

import pytest

from rtcli.load.results.kinds import VIOLATIONS
from rtcli.load.results.model import RunResult, Verdict
from tests.support.fakes.faulty_server.faults import Faults, Made
from tests.support.fakes.faulty_server.server import faulty_server
from tests.support.load.own_health import is_judged
from tests.support.load.runs import run
from tests.support.tcp_proxy import Flow, Link, TcpProxy, Treatment, held, seen

ON_DELIVERY = {
    "drop": 0.02,
    "repeat": 0.02,
    "swap": 0.02,
    "corrupt": 0.02,
    "leak": 0.02,
    "misplace": 0.02,
    "phantom": 0.02,
    "refuse": 0.03,
    "ghost": 0.5,
}
STEADY = """
    name: steady
    seed: 5
    phases:
      - { name: gather, for: 700ms, publish: stop }
      - { name: run, for: 3s }
      - { name: drain, for: 500ms, publish: stop }
    roles:
      reader: { users: 6, flow: [connect, { join: a }, { join: b }, hold] }
      readerb: { users: 3, flow: [connect, { join: b }, hold] }
      readers: { users: 3, protocol: sse, flow: [{ connect: { rooms: [a] } }, hold] }
      writer:
        users: 3
        flow: [connect, { join: a }, { join: b }, { send: { room: a, rate: RATE, text: hello } }]
      other:
        users: 2
        flow: [connect, { join: b }, { send: { room: b, rate: RATE } }]
      visitor:
        arrivals: 8/s
        stay: exp(700ms)
        flow:
          - connect
          - join: a
          - loop: [{ think: 200ms }, { leave: a }, { join: b }, { think: 100ms }, { leave: b }, { join: a }]
    audit: { evidence: 5000, settle: 4s, gaps: allow }
"""
RESUMING = """
    name: resuming
    seed: 6
    phases:
      - { name: gather, for: 700ms, publish: stop }
      - { name: run, for: 4s }
      - { name: drain, for: 500ms, publish: stop }
    roles:
      flaky:
        users: 6
        flow:
          - connect
          - join: a
          - loop:
              for: 3500ms  # so that nobody is about to come back when the run ends
              steps: [{ hold: "uniform(200ms, 900ms)" }, { kill: rst }, { backoff: exp(50ms..300ms) }, resume]
          - hold
      tail:
        users: 6
        protocol: sse
        flow:
          - connect: { rooms: [a] }
          - loop:
              for: 3500ms
              steps: [{ hold: "uniform(200ms, 900ms)" }, { kill: fin }, { backoff: exp(50ms..300ms) }, resume]
          - hold
      writer: { users: 3, flow: [connect, { join: a }, { send: { room: a, rate: 20/s } }] }
    audit: { evidence: 5000, settle: 4s }
"""

# The run ends while the users of `tail` come back.
COMING_BACK = """
    name: coming-back
    phases: [{ name: run, for: 1500ms }, { name: drain, for: 200ms, publish: stop }]
    roles:
      tail:
        users: 3
        protocol: sse
        attendance: off
        flow:
          - connect: { rooms: [a] }
          - wait: { barrier: together, users: 5 }
          - hold: 200ms
          - kill: fin
          - think: 200ms
          - resume
      reader: { users: 1, flow: [connect, { join: a }, { wait: { barrier: together, users: 5 } }, hold] }
      writer:
        users: 1
        flow:
          - connect
          - join: a
          - wait: { barrier: together, users: 5 }
          - send: { room: a, rate: 40/s }
    audit: { settle: 1s }
"""

# Each visitor's stay ends while it waits for the answer to its leave.
LEAVING = """
    name: leaving
    phases: [{ name: run, for: 2500ms }, { name: drain, for: 300ms, publish: stop }]
    roles:
      writer: { users: 2, flow: [connect, { join: a }, { send: { room: a, rate: 50/s } }] }
      visitor:
        arrivals: 4/s
        stay: 700ms
        attendance: off
        flow: [connect, { join: a }, { hold: 200ms }, { leave: a }, hold]
    audit: { settle: 1s, gaps: allow }
"""
WRITERS = 2


def named(result: RunResult) -> Made:
    """What the audit named."""
    assert result.audit is not None
    found: Made = Counter()
    for it in result.audit.violations:
        if it.kind in VIOLATIONS:  # others are of the accounts of users and sends
            message = "" if it.kind == "phantom" else it.message
            found[it.kind, it.subscriber, it.room, message] += 1
    for kind in VIOLATIONS:
        assert sum(count for (one, *_), count in found.items() if one == kind) == result.audit.counts[kind]
    return found


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("rate", ["10/s", "150/s"])
async def test_every_fault_of_delivery_is_named_and_nothing_else(workers: int, rate: str) -> None:
    faults = Faults(ON_DELIVERY)
    async with faulty_server(faults) as server:
        result = await run(STEADY.replace("RATE", rate), server.url, workers=workers)
    found = named(result)
    assert found - faults.made == Counter()  # nobody is accused wrongly
    # Only what was on its way to somebody who was just leaving can have come too late to be seen.
    assert {(kind, user.split()[0]) for kind, user, *_ in faults.made - found} <= {("ghost", "visitor")}
    assert result.verdict is Verdict.VIOLATION
    assert {kind for kind, *_ in faults.made} >= {
        "lost",
        "duplicate",
        "reordered",
        "corrupt",
        "leak",
        "ghost",
    }


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_server_without_faults_is_not_accused(workers: int) -> None:
    async with faulty_server(Faults({})) as server:
        result = await run(STEADY.replace("RATE", "40/s"), server.url, workers=workers)
    assert result.audit is not None
    assert not named(result)
    if is_judged(result):
        assert result.verdict is Verdict.PASSED, result.reasons
        assert result.audit.counts["expected"] == result.audit.counts["delivered"] > 3000


@pytest.mark.parametrize("workers", [1, 2])
async def test_lies_about_recovery_and_too_much_of_it_are_named(workers: int) -> None:
    faults = Faults({"lie": 0.4, "excess": 0.4}, victims=("flaky", "tail"))
    async with faulty_server(faults) as server:
        result = await run(RESUMING, server.url, workers=workers)
    assert named(result) == faults.made
    made = {(kind, user.split()[0]) for kind, user, *_ in faults.made}
    assert made == {(kind, role) for kind in ("resume_gap", "duplicate") for role in ("flaky", "tail")}


@pytest.mark.parametrize("fault", ["lie", "excess"])
async def test_what_did_not_reach_who_was_coming_back_is_no_reason_to_accuse(fault: str) -> None:
    """The server lied, or gave too much, in an answer that was still on its way when the run ended."""
    faults = Faults({fault: 1.0}, victims=("tail",))
    numbers, never = count(1), asyncio.Event()

    def hold_back_those_who_come_again(_link: Link) -> Treatment:
        return Treatment(down=[held(never)] if next(numbers) > 5 else [])

    async with faulty_server(faults) as server:
        port = int(server.url.rpartition(":")[2])
        async with TcpProxy(port, hold_back_those_who_come_again).running() as proxy:
            result = await run(COMING_BACK, f"http://127.0.0.1:{proxy.port}")
    assert {user for _, user, *_ in faults.made} == {"tail 1", "tail 2", "tail 3"}
    assert not named(result)
    assert result.verdict is Verdict.PASSED, result.reasons
    assert result.audit is not None
    assert result.audit.counts["expected"] == result.audit.counts["delivered"] > result.audit.counts["sent"]


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_stay_that_ends_before_a_leave_is_answered_is_no_reason_to_accuse(workers: int) -> None:
    """What is said between a leave and the goodbye does not concern who asked to leave."""
    numbers, answers = count(1), count()

    def answer_leaves_at_the_goodbye(_link: Link) -> Treatment:
        if next(numbers) <= WRITERS:
            return Treatment()
        goodbye = asyncio.Event()

        async def until_the_goodbye(flow: Flow) -> Flow:
            async for data in flow:
                if b"room_left" in data:
                    next(answers)
                    await goodbye.wait()
                yield data

        def notice(data: bytes) -> None:
            if b"\x88\x82" in data:  # a close frame of a client, with a code
                goodbye.set()

        return Treatment(up=[seen(notice)], down=[until_the_goodbye])

    async with faulty_server(Faults({})) as server:
        port = int(server.url.rpartition(":")[2])
        async with TcpProxy(port, answer_leaves_at_the_goodbye).running() as proxy:
            result = await run(LEAVING, f"http://127.0.0.1:{proxy.port}", workers=workers)
    assert next(answers) >= 5
    assert not named(result)
    assert result.verdict is Verdict.PASSED, result.reasons


async def test_an_honest_resume_is_not_accused() -> None:
    async with faulty_server(Faults({"deny": 0.2})) as server:
        result = await run(RESUMING + "\n    # honest", server.url)
    assert result.audit is not None
    assert not named(result)
    assert result.audit.counts["gap_declared"] > 0
    assert result.verdict is Verdict.VIOLATION  # the scenario does not allow gaps, declared or not


async def test_declared_gaps_are_counted_and_not_called_lost() -> None:
    """Nothing is sent before all readers are there: else nobody can tell what the gaps took from them."""
    together = "{ wait: { barrier: together, users: 17 } }"
    text = STEADY.replace("hold]", f"{together}, hold]").replace("{ send:", f"{together}, {{ send:")
    faults = Faults({"gap": 0.05})
    async with faulty_server(faults) as server:
        result = await run(text.replace("RATE", "20/s"), server.url)
    assert result.audit is not None
    assert not named(result)
    assert result.audit.counts["gap_declared"] == faults.declared > 0
    assert result.verdict is Verdict.PASSED
