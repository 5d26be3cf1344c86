"""A run: workers started, heard and judged; thresholds watched; the result put together.

The main process generates nothing. It merges what workers tell each second, shows it, opens barriers, ends a
run early (Ctrl-C, a threshold with `abort`), and at the end lets every worker judge what it received by what
all of them have sent.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any, Protocol

from rtcli.load.audit.evidence import WorkerAccount
from rtcli.load.core.context import WorkerSpec
from rtcli.load.metrics.store import Bins, MetricStore
from rtcli.load.results.thresholds import to_abort
from rtcli.load.run.health import Health
from rtcli.load.run.worker import Tick
from rtcli.load.run.worker_pool import WorkerFailedError, Workers, running_workers
from rtcli.load.scenario.model import ThresholdSpec

_LEAD_US = 200_000  # from the order to start to the start, so that all workers have it in time
_OVERTIME_S = 30.0  # beyond phases and settling, until a worker that says nothing counts as failed


@dataclass(slots=True)
class RunState:
    """What is known of a run while it goes on and after it. Seconds are those of the run."""

    spec: WorkerSpec
    store: MetricStore
    base: int = 0  # microseconds of the monotonic clock
    health: Health = field(default_factory=Health)
    users: dict[int, int] = field(default_factory=dict)  # by worker
    connections: dict[int, int] = field(default_factory=dict)
    rss: dict[int, int] = field(default_factory=dict)
    wrong: dict[int, Mapping[str, int]] = field(default_factory=dict)  # what each worker's audit knows by now
    cpu: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    most_users: int = 0
    most_rss: int = 0
    by_second: dict[int, tuple[int, int]] = field(default_factory=dict)  # users, connections
    problems: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    log: list[str] = field(default_factory=list)
    accounts: list[WorkerAccount] = field(default_factory=list)
    interrupted: bool = False
    aborted_by: ThresholdSpec | None = None
    ended: float | None = None  # when the phases were over, or cut short
    settled: float | None = None  # when everything had arrived, or the wait for it was over

    def now(self) -> float:
        """Seconds since the start."""
        return (monotonic_ns() // 1000 - self.base) / 1e6

    def take(self, tick: Tick) -> None:
        """Take in what a worker tells."""
        self.store.merge(tick.samples)
        worker, second = tick.worker, max(0, int(self.now()))
        self.users[worker], self.connections[worker] = tick.users, tick.connections
        self.rss[worker], self.wrong[worker] = tick.rss, tick.wrong
        self.cpu[worker].append(tick.cpu)
        self.most_users = max(self.most_users, sum(self.users.values()))
        self.most_rss = max(self.most_rss, sum(self.rss.values()))
        self.by_second[max(0, second - 1)] = (sum(self.users.values()), sum(self.connections.values()))
        self.health.busy(max(0, second - 1), tick.cpu)
        for start, end in tick.stalls:
            self.health.stalled(start, end)
        self.log += tick.log


class View(Protocol):
    """Shows a run while it goes on."""

    def show(self, state: RunState) -> None:
        """Show what is known now; called about twice a second."""
        ...


class Runner:
    """Runs one scenario. `stop` ends it before its time, with all results so far."""

    def __init__(self, spec: WorkerSpec, view: View) -> None:
        bins = Bins([(phase.name, phase.duration) for phase in spec.scenario.phases])
        self.state = RunState(spec, MetricStore(bins))
        self._view = view
        self._stop = asyncio.Event()
        self._ledgers: dict[int, Any] = {}
        self._accounts: dict[int, WorkerAccount] = {}
        self._barriers: defaultdict[str, int] = defaultdict(int)

    def stop(self) -> None:
        """End the run: it was interrupted."""
        self.state.interrupted = True
        self._stop.set()

    async def run(self) -> RunState:
        """Run to the end. Raises WorkerFailedError."""
        async with running_workers(self.state.spec) as workers:
            self.state.base = monotonic_ns() // 1000 + _LEAD_US
            workers.tell(("start", self.state.base))
            stopping = asyncio.create_task(self._tell_stop(workers))
            showing = asyncio.create_task(self._show())
            try:
                await self._until(workers, self._ledgers, self._deadline())
                self.state.settled = self.state.now()
                for number in range(workers.count):
                    others = [ledger for other, ledger in self._ledgers.items() if other != number]
                    workers.tell_one(number, ("judge", others))
                await self._until(workers, self._accounts, self.state.now() + _OVERTIME_S)
            finally:
                stopping.cancel()
                showing.cancel()
                await asyncio.gather(stopping, showing, return_exceptions=True)
        self.state.accounts = [self._accounts[number] for number in sorted(self._accounts)]
        return self.state

    def _deadline(self) -> float:
        scenario = self.state.spec.scenario
        return scenario.duration + scenario.audit.settle + _OVERTIME_S

    async def _tell_stop(self, workers: Workers) -> None:
        await self._stop.wait()
        workers.tell("stop")

    async def _show(self) -> None:
        while True:
            self._view.show(self.state)
            await asyncio.sleep(0.5)

    async def _until(self, workers: Workers, answers: dict[int, Any], deadline: float) -> None:
        """Hear workers until each has given its answer."""
        while len(answers) < workers.count:
            try:
                async with asyncio.timeout(deadline - self.state.now()):
                    number, message = await workers.inbox.get()
            except TimeoutError:
                raise WorkerFailedError("a worker does not come to an end") from None
            self._hear(workers, number, message)

    def _hear(self, workers: Workers, number: int, message: Any) -> None:  # noqa: ANN401 - see worker_process
        if isinstance(message, Tick):
            self.state.take(message)
            self._watch_thresholds()
            return
        if message == "gone" or message[0] == "failed":
            raise WorkerFailedError("a worker ended before its time" if message == "gone" else message[1])
        kind = message[0]
        if kind == "ended":
            self.state.ended = max(self.state.ended or 0.0, message[1])
        elif kind == "settled":
            self._ledgers[number] = message[1]
            for text, count in message[2].items():
                self.state.problems[text] += count
        elif kind == "account":
            self._accounts[number] = message[1]
        elif kind == "barrier":
            self._barriers[message[1]] += 1
            if self._barriers[message[1]] >= message[2]:
                workers.tell(("open", message[1]))
        elif kind == "signal":
            workers.tell(("open", message[1]))

    def _watch_thresholds(self) -> None:
        state = self.state
        if state.aborted_by is None and state.ended is None:
            state.aborted_by = to_abort(state.spec.scenario.thresholds, state.store, state.now())
            if state.aborted_by is not None:
                self._stop.set()
