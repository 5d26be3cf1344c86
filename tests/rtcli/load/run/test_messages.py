"""Messages between the coordinator and its workers: each arrives as it was sent."""

from __future__ import annotations

import socket

import pytest

from rtcli.client.endpoint import parse_endpoint
from rtcli.load.accounts.absences import AbsenceGroup, AbsenceKey
from rtcli.load.accounts.attendance import RoleCount, WorkerAttendance
from rtcli.load.accounts.doubts import Doubt
from rtcli.load.accounts.sends import SendCounts, UnsentGroup, UnsentKey, WorkerSends
from rtcli.load.audit.evidence import Group, WorkerAccount
from rtcli.load.audit.ledger_exchange import ExportedLog, Ledger, Sights
from rtcli.load.core.context import Credentials, WorkerSpec
from rtcli.load.core.failures import OwnFailure
from rtcli.load.core.latches import AtBarrier, Signalled
from rtcli.load.results.model import FrameEvidence, Violation
from rtcli.load.run.channel import ChannelClosedError, coordinator_channel, worker_channel
from rtcli.load.run.health.processor_time import TakenTime
from rtcli.load.run.messages import (
    Audited,
    Close,
    Configure,
    Failed,
    FinishAudit,
    FromWorker,
    OpenLatch,
    PhasesEnded,
    Ready,
    Settled,
    Start,
    Stop,
    Tick,
    ToWorker,
)
from rtcli.protocol.position import Position
from tests.support.load.runs import scenario

LEDGER = Ledger(
    0,
    [
        ExportedLog(
            3,
            "writer 1",
            "hall",
            ended=None,
            earlier=2,
            acked=False,
            sent=b"\0" * 16,
            acks=b"\1" * 16,
            positions={1: Position("e", 7)},
        )
    ],
    [Sights(1 << 18, b"\1" * 8, {0: Position("e", 8)})],
)
ATTENDANCE = WorkerAttendance(
    {"reader": RoleCount(5, 4, 1, [5_000_000, 7], [4_000_000, 0], 4, {"http_503": {"": 2, "calm": 1}})},
    [AbsenceGroup(AbsenceKey("absent", "reader", "http_503", "503", phase="calm"), 1, ["reader 5"], 1, 9, 8)],
    [],
)
VIOLATION = Violation(
    "lost", "hall", "writer 1", 2, "reader 5", sent=1.5, frames=(FrameEvidence(1.5, "in", "x"),)
)
ACCOUNT = WorkerAccount(
    {"lost": 1},
    [VIOLATION],
    {("lost", "hall", "a resume"): Group(1, {"reader 5"}, 1.5, 1.5, 20)},
    subscribers=5,
    not_counted=0,
    times={("lost", "reader", "hall", 1 << 40): 2},
    unsure=[1 << 33],
    sure=[7],
)
_UNSENT = UnsentGroup(UnsentKey("refused", "writer", "rate_limited", "refused: rate_limited", "peak"))
_UNSENT.add(2, ["writer 1"], "hall", first=10**12, last=10**12 + 5)
SENDS = WorkerSends({"writer": SendCounts({"peak": 3}, {"peak": 1}, 2, 1, 2)}, [_UNSENT])
TO_WORKER: list[ToWorker] = [
    Start(10**12),
    Stop(),
    OpenLatch("barrier x"),
    FinishAudit([LEDGER, Ledger(1, [], [])], [2]),
    Close(),
]
FROM_WORKER: list[FromWorker] = [
    Ready(),
    Tick(
        {("errors", (("code", "404"), ("role", "reader"))): {1 << 40: 3}},
        users=2,
        connections=1,
        cpu=0.25,
        rss=1 << 33,
        stalls=((0.5, 0.75),),
        taken=TakenTime(0.5, 0.0),
        log=((1.5, "reader 1", "here"),),
        violations={"lost": 1},
    ),
    PhasesEnded(12.5),
    AtBarrier("barrier x", 3),
    Signalled("signal y"),
    Settled(LEDGER, {"reader: gone": 2}, SENDS),
    Audited(ACCOUNT, ATTENDANCE, [Doubt(1 << 33, "writer 1", "hall", 3, 10**12, "unknown")]),
    Failed(OwnFailure("a bug in the adapter `stomp`", is_bug=True, worker=1)),
]


async def test_messages_arrive_as_they_were_sent() -> None:
    ours, theirs = socket.socketpair()
    coordinator, worker = await coordinator_channel(ours), await worker_channel(theirs)
    for order in TO_WORKER:
        coordinator.send(order)
        assert await worker.receive() == order
    for report in FROM_WORKER:
        worker.send(report)
        assert await coordinator.receive() == report
    worker.close()
    with pytest.raises(ChannelClosedError):
        await coordinator.receive()
    coordinator.close()


async def test_a_worker_gets_the_whole_scenario() -> None:
    spec = WorkerSpec(
        scenario(
            """
            name: whole
            phases: [{ name: run, for: 1s }]
            roles:
              reader: { users: 1, flow: [connect, { join: "room-${user.number}" }, { think: exp(2s) }] }
            """
        ),
        parse_endpoint("http://127.0.0.1:1"),
        "127.0.0.1",
        socket.AF_INET,
        Credentials(secret="s" * 40),
        run=7,
        unix_start=1.5,
    )
    assert Configure.of(spec).spec() == spec
