"""The coordinator of a run: it starts the workers, adds up what they measure, and watches thresholds.

The main process generates no load. Each second it merges what the workers have measured and shows it; it
opens latches, ends a run early (Ctrl-C, a threshold with `abort`), and at the end lets every worker judge
what it received by what all of them have sent.
"""

from __future__ import annotations

import asyncio
import os
from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Protocol

from rtcli.load.accounts.attendance import WorkerAttendance
from rtcli.load.accounts.doubts import Doubt
from rtcli.load.accounts.sends import WorkerSends
from rtcli.load.audit.evidence import WorkerAccount
from rtcli.load.audit.ledger_exchange import Ledger
from rtcli.load.core.context import WorkerSpec
from rtcli.load.core.failures import OwnFailure
from rtcli.load.core.latches import AtBarrier, LatchReport, Signalled
from rtcli.load.metrics.run_store import RunStore
from rtcli.load.metrics.store import Bins
from rtcli.load.results.model import LogLine
from rtcli.load.results.thresholds import to_abort
from rtcli.load.run.health.seconds import Health, lag_limits
from rtcli.load.run.messages import (
    Audited,
    Failed,
    FinishAudit,
    OpenLatch,
    PhasesEnded,
    Settled,
    Start,
    Stop,
    Tick,
)
from rtcli.load.run.worker_pool import Gone, Received, WorkerPool, running_workers
from rtcli.load.scenario.model import ThresholdSpec

_LEAD_US = 200_000  # from sending `Start` to the start of the run, so that all workers have it in time
_FOLD_EVERY_S = 5.0
_MAX_SILENCE_S = 60.0  # for which samples wait until a worker that stands still can tell that it did
_MAX_LOG = 1_000  # lines
_OVERTIME_S = 30.0  # beyond phases and settling, until a worker that does not answer counts as failed
_MAX_DELAY_S = 300.0  # by which a worker that still tells of itself may be later than that


def _monotonic_us() -> int:
    return monotonic_ns() // 1000


class ConnectionCounts:
    """Number of users and of connections in each second: 16 bytes a second."""

    def __init__(self) -> None:
        self._users = array("Q")
        self._connections = array("Q")

    def set(self, second: int, users: int, connections: int) -> None:
        """Set the numbers of a second."""
        missing = [0] * (second + 1 - len(self._users))
        self._users.extend(missing)
        self._connections.extend(missing)
        self._users[second], self._connections[second] = users, connections

    def users(self, seconds: range) -> int:
        """The most users in one of some seconds; 0 where none is known."""
        return max(self._users[seconds.start : seconds.stop], default=0)

    def connections(self, seconds: range) -> int:
        """The fewest connections in one of some seconds; 0 where none is known."""
        return min(self._connections[seconds.start : seconds.stop], default=0)


@dataclass(slots=True)
class CpuShare:
    """The average share of a core that a worker used."""

    total: float = 0.0
    ticks: int = 0

    def add(self, share: float) -> None:
        """Add the share of one tick."""
        self.total += share
        self.ticks += 1

    @property
    def average(self) -> float:
        """The average of all ticks."""
        return self.total / self.ticks if self.ticks else 0.0


@dataclass(slots=True)
class RunState:
    """What the coordinator knows of a run, while it goes on and after it. Seconds count from its start."""

    spec: WorkerSpec
    store: RunStore
    health: Health
    base: int = 0  # start of the run, in µs of the monotonic clock; 0 before
    users: dict[int, int] = field(default_factory=dict)  # by worker
    connections: dict[int, int] = field(default_factory=dict)
    absent: dict[int, int] = field(default_factory=dict)  # users who are absent without leave now
    accepted: dict[int, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    """Messages of each worker since the start, by role and phase."""
    unsent: dict[int, int] = field(default_factory=dict)  # messages since the start
    rss: dict[int, int] = field(default_factory=dict)
    violations: dict[int, Mapping[str, int]] = field(default_factory=dict)  # by kind, known by now
    cpu: dict[int, CpuShare] = field(default_factory=dict)
    peak_users: int = 0
    peak_rss: int = 0
    counts: ConnectionCounts = field(default_factory=ConnectionCounts)
    problems: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    log: deque[LogLine] = field(default_factory=lambda: deque(maxlen=_MAX_LOG))
    logged: int = 0  # lines, those that are not kept any more among them
    clock: Callable[[], int] = _monotonic_us
    folded: float = 0.0  # when samples were folded last
    heard: dict[int, float] = field(default_factory=dict)  # when each worker told of itself last
    accounts: list[WorkerAccount] = field(default_factory=list)
    attendance: dict[int, WorkerAttendance] = field(default_factory=dict)  # by worker
    sends: dict[int, WorkerSends] = field(default_factory=dict)  # by worker
    doubts: list[Doubt] = field(default_factory=list)
    interrupted_by: str = ""  # the signal that ended the run before its time
    aborted_by: ThresholdSpec | None = None
    ended: float | None = None  # when the phases ended, or were cut short
    failures: list[OwnFailure] = field(default_factory=list)  # at most one of each worker
    gone: set[int] = field(default_factory=set)  # workers that ended without an account of their users

    def now(self) -> float:
        """Seconds since the start."""
        return (self.clock() - self.base) / 1e6

    def lose(self, worker: int, text: str, *, is_bug: bool) -> None:
        """Go on without a worker. Its failure is the one that it has reported, if any.

        What it has accounted for before it ended stays; if that is all, only a bug is worth telling.
        """
        if worker in self.gone:
            return
        is_complete = worker in self.attendance
        if not is_complete:
            self.gone.add(worker)
        if (is_bug or not is_complete) and not any(failure.worker == worker for failure in self.failures):
            self.failures.append(OwnFailure(text, is_bug, worker))

    def add_tick(self, worker: int, tick: Tick) -> None:
        """Add what a worker has measured."""
        self.store.merge(tick.samples)
        before = max(0, int(self.now()) - 1)
        self.users[worker], self.connections[worker] = tick.users, tick.connections
        self.rss[worker], self.violations[worker] = tick.rss, tick.violations
        self.absent[worker] = tick.absent
        self.accepted[worker], self.unsent[worker] = tick.accepted, tick.unsent
        self.cpu.setdefault(worker, CpuShare()).add(tick.cpu)
        self.peak_users = max(self.peak_users, sum(self.users.values()))
        self.peak_rss = max(self.peak_rss, sum(self.rss.values()))
        self.counts.set(before, sum(self.users.values()), sum(self.connections.values()))
        self.health.add_cpu_share(before, tick.cpu)
        self.health.add_taken(worker, before, tick.taken)
        self.health.add_samples(worker, tick.samples)
        for start, end in tick.stalls:
            self.health.add_stall(start, end)
        self.log += (LogLine(*line) for line in tick.log)
        self.logged += len(tick.log)
        self.heard[worker] = self.now()
        if self.now() >= self.folded + _FOLD_EVERY_S:
            self.folded = self.now()
            self.store.fold(max(min(self.heard.values()), self.folded - _MAX_SILENCE_S))


class ProgressView(Protocol):
    """Shows the progress of a run."""

    def show(self, state: RunState) -> None:
        """Show the state of now; called about twice a second."""
        ...


class Coordinator:
    """Coordinates one run. `stop` ends it early; its results until then are kept."""

    def __init__(self, spec: WorkerSpec, view: ProgressView) -> None:
        bins = Bins([(phase.name, phase.duration) for phase in spec.scenario.phases])
        limits = lag_limits(spec.scenario.thresholds)
        health = Health(limits, bins, cores=os.cpu_count() or 1)
        self.state = RunState(spec, RunStore(bins, health.level), health)
        self._view = view
        self._stop = asyncio.Event()
        self._ledgers: dict[int, Ledger] = {}
        self._accounts: dict[int, WorkerAccount] = {}
        self._at_barrier: defaultdict[str, int] = defaultdict(int)  # users, by latch

    def stop(self, *, interrupted_by: str) -> None:
        """End the run before its time, because of a signal: `SIGINT`, `SIGTERM` or `SIGHUP`."""
        self.state.interrupted_by = interrupted_by
        self._stop.set()

    async def run(self) -> RunState:
        """Run to the end, or until a worker fails: then what the others have found is kept.

        Raises WorkerFailedError when the workers cannot be started.
        """
        async with running_workers(self.state.spec) as pool:
            self.state.base = monotonic_ns() // 1000 + _LEAD_US
            pool.send_all(Start(self.state.base))
            stopping = asyncio.create_task(self._send_stop(pool))
            showing = asyncio.create_task(self._show())
            try:
                await self._handle_until_all(pool, self._ledgers, self._deadline())
                missing = sorted(self.state.gone)
                for number in range(pool.count):
                    others = [ledger for other, ledger in self._ledgers.items() if other != number]
                    pool.send(number, FinishAudit(others, missing))
                await self._handle_until_all(pool, self._accounts, self.state.now() + _OVERTIME_S)
            finally:
                stopping.cancel()
                showing.cancel()
                await asyncio.gather(stopping, showing, return_exceptions=True)
                self._view.show(self.state)
        self.state.accounts = [self._accounts[number] for number in sorted(self._accounts)]
        return self.state

    def _deadline(self) -> float:
        scenario = self.state.spec.scenario
        return scenario.duration + scenario.audit.settle + _OVERTIME_S

    async def _send_stop(self, pool: WorkerPool) -> None:
        await self._stop.wait()
        pool.send_all(Stop())

    async def _show(self) -> None:
        while True:
            self._view.show(self.state)
            await asyncio.sleep(0.5)

    async def _handle_until_all(
        self, pool: WorkerPool, answers: Mapping[int, object], deadline: float
    ) -> None:
        """Handle messages until `answers` has one of each worker that is left.

        A worker that has not answered at `deadline` (seconds of the run) is killed: later, as long as any
        of those is heard.
        """
        state, last = self.state, deadline + _MAX_DELAY_S
        while waiting := set(range(pool.count)) - answers.keys() - state.gone:
            heard = max((state.heard.get(number, 0.0) for number in waiting), default=0.0)
            until = min(max(deadline, heard + _OVERTIME_S), last)
            try:
                async with asyncio.timeout(until - state.now()):
                    number, message = await pool.receive()
            except TimeoutError:
                for number in waiting:
                    state.lose(number, f"worker {number + 1} did not come to an end", is_bug=True)
                    pool.kill(number)
                self._stop.set()
                return
            self._handle(pool, number, message)

    def _handle(self, pool: WorkerPool, number: int, message: Received) -> None:
        state = self.state
        match message:
            case Gone():
                state.lose(number, f"worker {number + 1} {message.reason}", is_bug=message.is_bug)
                self._stop.set()
            case Failed(failure):
                state.failures.append(failure)
                self._stop.set()
            case AtBarrier() | Signalled():
                self._open_latch(pool, message)
            case Tick():
                state.add_tick(number, message)
                self._watch_thresholds()
            case PhasesEnded(at):
                state.ended = max(state.ended or 0.0, at)
            case Settled(ledger, problems, sends):
                self._ledgers[number] = ledger
                state.sends[number] = sends
                for text, count in problems.items():
                    state.problems[text] += count
            case Audited(account, attendance, doubts):
                self._accounts[number] = account
                state.doubts += doubts
                state.attendance[number] = attendance

    def _open_latch(self, pool: WorkerPool, message: LatchReport) -> None:
        """Open the latch for the users of all workers, a barrier once enough of them are there."""
        if isinstance(message, AtBarrier):
            self._at_barrier[message.latch] += 1
            if self._at_barrier[message.latch] < message.users:
                return
        pool.send_all(OpenLatch(message.latch))

    def _watch_thresholds(self) -> None:
        state = self.state
        if state.aborted_by is None and state.ended is None:
            state.aborted_by = to_abort(state.spec.scenario.thresholds, state.store, state.now())
            if state.aborted_by is not None:
                self._stop.set()
