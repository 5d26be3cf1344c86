"""One worker: it runs its share of the users, from the start of the run until everything has settled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from rtcli.load.accounts.absences import GENERATOR_LATE
from rtcli.load.accounts.attendance import MIN_GRACE_US
from rtcli.load.adapters.interface import SseAdapter, WsAdapter
from rtcli.load.adapters.registry import adapter_for
from rtcli.load.core.context import WorkerContext, WorkerSpec
from rtcli.load.core.due_users import DueUsers
from rtcli.load.core.failures import Failures, OwnFailure
from rtcli.load.core.latches import Latches
from rtcli.load.core.not_reached import UnstartedUser
from rtcli.load.core.schedule import arrival_end, arrival_times, phase_bounds, seeded_rng, stays
from rtcli.load.run.health.loop_watch import LoopWatch
from rtcli.load.run.health.processor_time import ProcessorTime
from rtcli.load.run.health.seconds import stall_limit
from rtcli.load.run.messages import Failed, FromWorker, PhasesEnded, Tick
from rtcli.load.scenario.model import Cut, Role
from rtcli.load.users.flow.actions import ACTIONS
from rtcli.load.users.flow.runner import Flow
from rtcli.load.users.user import User, make_user

_SETTLE_STEP_S = 0.05
_MIN_SETTLE_S = 0.5  # duplicates come late
_CANCEL_AGAIN_S = 0.5
_GOODBYE_S = 5.0
_SLICE = 100  # users
_NUMBERS_PER_ROLE = 1_000_000  # for the users of a role with arrivals


class Worker:
    """Runs its share of the users. `base` is the start of the run (µs); `send` sends to the coordinator."""

    def __init__(self, spec: WorkerSpec, base: int, send: Callable[[FromWorker], None]) -> None:
        self.context = WorkerContext(spec, base, Latches(send), Failures(self._failed, worker=spec.worker))
        self.spec = spec
        self._send = send
        self.users: set[User] = set()
        self._flows: set[asyncio.Task[None]] = set()
        self._parts: set[Flow] = set()  # flows of users whose part is not over
        self._gone: list[User] = []  # whose part is over, and who still wait for answers over HTTP
        self._adapters: dict[str, WsAdapter | SseAdapter] = {
            role.name: adapter_for(spec.scenario, role) for role in spec.scenario.roles.values()
        }
        self._stop = asyncio.Event()
        self._watch = LoopWatch(self.context, stall_limit(spec.scenario.thresholds))
        self._processors = ProcessorTime()
        self._due = DueUsers()
        self._cpu = time.process_time()
        self._wall = time.monotonic()

    def stop(self) -> None:
        """End the phases now."""
        self._stop.set()

    def _failed(self, failure: OwnFailure) -> None:
        """Report a failure of our own, and end the phases: what comes after it shows nothing."""
        self._send(Failed(failure))
        self.stop()

    async def run(self) -> None:
        """Run to the end of the phases or until `stop`; then wait until everything has arrived."""
        context = self.context
        asyncio.get_running_loop().set_exception_handler(self._on_loop_error)
        self._plan()
        ticking = asyncio.create_task(self._tick_every_second())
        watching = asyncio.create_task(self._watch.run())
        for task in (ticking, watching):
            task.add_done_callback(self._report)
        try:
            left = (context.microseconds(context.scenario.duration) - context.now()) / 1e6
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), left)
            self._send(PhasesEnded(context.seconds(context.now())))
            await self._settle()
        finally:
            ticking.cancel()
            watching.cancel()
            await asyncio.gather(ticking, watching, return_exceptions=True)
            await self._collect()
            self._tick()

    # -- the schedule of users -----------------------------------------------------------------------------

    def _plan(self) -> None:
        first = 0
        for place, role in enumerate(self.spec.scenario.roles.values()):
            if role.users is not None:
                self._plan_users(role, first)
                first += role.users
            else:
                mine = islice(self._arrivals(role), self.spec.worker, None, self.spec.workers)
                self._due.expect_arrivals(role.name, mine)
                self._plan_arrival(role, mine, (place + 1) * _NUMBERS_PER_ROLE)
        for phase, start, _ in phase_bounds(self.spec.scenario.phases):
            if phase.cut is not None:
                self._plan_cut(phase.name, start + phase.cut.at, phase.cut)

    def _plan_users(self, role: Role, first: int) -> None:
        for stay in stays(role, self.spec.scenario.phases):
            if stay.number % self.spec.workers == self.spec.worker:
                self._start_at(stay.start, role, stay.number, first + stay.number, stay.end)

    def _arrivals(self, role: Role) -> Iterator[tuple[int, float, float]]:
        """Yield index, start and end of each user that arrives in this role, in all workers."""
        scenario = self.spec.scenario
        rng = seeded_rng(scenario.seed, role.name, "arrivals")
        for index, start in enumerate(arrival_times(role, scenario.phases, rng)):
            yield index, start, arrival_end(scenario, role, index, start)

    def _plan_arrival(self, role: Role, arrivals: Iterator[tuple[int, float, float]], first: int) -> None:
        """Schedule the next arrival, which schedules the one after it."""
        following = next(arrivals, None)
        if following is None:
            return
        index, start, end = following
        self._start_at(start, role, index, first + index, end)
        self.context.timers.call_at(
            self.context.microseconds(start), lambda _when: self._plan_arrival(role, arrivals, first)
        )

    def _start_at(self, start: float, role: Role, index: int, number: int, end: float) -> None:
        self._due.expect(role.name, index, start, end)

        def begin(_when: int) -> None:
            if not self.context.stopping and self.context.now() < self.context.microseconds(end):
                self._due.started(role.name, index)
                task = asyncio.create_task(self._run_user(role, index, number, start, end))
                self._flows.add(task)
                task.add_done_callback(self._flow_ended)

        self.context.timers.call_at(self.context.microseconds(start), begin)

    def _flow_ended(self, task: asyncio.Task[None]) -> None:
        self._flows.discard(task)
        self._report(task)

    def _report(self, task: asyncio.Task[None]) -> None:
        """Report the exception with which a task has ended, if any."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.context.failures.record(error)

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Report what a callback raised; connections that break are no failure of ours."""
        error = context.get("exception")
        if isinstance(error, Exception) and not isinstance(error, OSError) and "handle" in context:
            self.context.failures.record(error)
        else:
            loop.default_exception_handler(context)

    async def _run_user(self, role: Role, index: int, number: int, start: float, end: float) -> None:
        """Run one user, who should begin at `start`, to its end."""
        context = self.context
        adapter = self._adapters[role.name]
        until = context.microseconds(end)
        late = context.now() - context.microseconds(start)
        user = make_user(context, role, index, number, adapter, end=until)
        user.presence.late = late
        self.users.add(user)
        context.users += 1
        stays = role.users is not None or role.stay is not None
        flow = Flow(user, until, stays=stays, actions=ACTIONS, late=late)
        self._parts.add(flow)
        if late >= MIN_GRACE_US:
            self._account_for_late_start(role, user, start, end)
        try:
            async with asyncio.timeout((until - context.now()) / 1e6):
                await flow.run()
        except TimeoutError:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            user.on_failure(error)
        self._end_part(flow)
        if not context.stopping and end < context.scenario.duration - 1e-6:
            await user.finish(1000, "", _GOODBYE_S)
            self.users.discard(user)
            self._gone = [gone for gone in self._gone if gone.transport.is_waiting]
            if user.transport.is_waiting:
                self._gone.append(user)
            context.users -= 1

    def _account_for_late_start(self, role: Role, user: User, start: float, end: float) -> None:
        """Account for a user whom the load generator has started much too late."""
        context, now = self.context, self.context.now()
        context.attendance.started_late(user.presence, context.microseconds(start), now)
        unstarted = UnstartedUser(context.scenario, role, user.context.name, start, end)
        context.counting.add(
            unstarted.count(context.sends, context.base, context.seconds(now), GENERATOR_LATE, started=True)
        )

    def _end_part(self, flow: Flow) -> None:
        """End a user's part now, or when its stay is over; those that last as long as the run end with it."""
        until = flow.end
        if not flow.stays:
            self._part_over(flow, self.context.now())
        elif until < self.context.microseconds(self.context.scenario.duration):
            self.context.timers.call_at(until, lambda when: self._part_over(flow, when))

    def _part_over(self, flow: Flow, now: int) -> None:
        self.context.attendance.end_part(flow.user.presence, now)
        over = flow.out_of_reach.over(never_back=flow.user.gave_up and not flow.stays)
        self.context.counting.add(over)
        self._parts.discard(flow)

    def _plan_cut(self, phase: str, at: float, cut: Cut) -> None:
        rng = seeded_rng(self.spec.scenario.seed, "cut", phase, self.spec.worker)

        def cut_some(_when: int) -> None:
            connected = sorted(
                (user for user in self.users if user.context.role.name in cut.roles and user.connected),
                key=lambda user: user.context.number,
            )
            for user in rng.sample(connected, round(len(connected) * cut.share)):
                user.cut(cut.how)

        self.context.timers.call_at(self.context.microseconds(at), cut_some)

    # -- the end -------------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Stop sending, and wait until everything has arrived, at most as long as the scenario says."""
        context = self.context
        context.stop_sending(complete=not self._stop.is_set())
        context.timers.stop()
        context.attendance.close(context.now())
        self._account_for_never_started()
        for flow in self._parts:
            context.counting.add(flow.out_of_reach.over())
        while self._flows:  # a cancellation may get lost, as in asyncio.wait_for of 3.11
            for task in self._flows:
                task.cancel()
            await asyncio.wait(self._flows, timeout=_CANCEL_AGAIN_S)
        await context.counting.finish()
        for user in self.users:
            user.transport.read_freely()  # slow readers catch up now, or see that the server closed
        rules = context.scenario.audit
        started = context.now()
        while (waited := self._waited(started)) < rules.settle:
            if context.failures.first is not None:  # what is still missing shows nothing
                break
            busy = context.audit.outstanding() or any(
                user.is_reconnecting or user.transport.is_waiting for user in (*self.users, *self._gone)
            )
            if waited >= min(_MIN_SETTLE_S, rules.settle) and not busy:
                break
            await asyncio.sleep(_SETTLE_STEP_S)
        for user in (*self.users, *self._gone):
            user.settle_messages()

    def _waited(self, started: int) -> float:
        """For how many seconds the worker has waited, without those in which it stood still."""
        now = self.context.now()
        return (now - started - self.context.stalls.within(started, now)) / 1e6

    def _account_for_never_started(self) -> None:
        """Account for users whom the generator did not start; what they should have sent in steps."""
        context, now = self.context, self.context.now()
        for user in self._due.never_started(context.seconds(now)):
            role = context.scenario.roles[user.role]
            over = min(now, context.microseconds(user.end))
            context.count(role, "dropped_iterations")
            start = context.microseconds(user.start)
            if over - start < MIN_GRACE_US:
                context.attendance.over_before_start(user.name, user.role, start, over)
            else:
                context.attendance.never_started(user.name, user.role, start, over)
            unstarted = UnstartedUser(context.scenario, role, user.name, user.start, user.end)
            context.counting.add(
                unstarted.count(context.sends, context.base, context.seconds(over), GENERATOR_LATE)
            )

    async def close(self) -> None:
        """Disconnect all users: with a close handshake within some seconds, else at once."""
        self.context.stop_reconnecting()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await asyncio.gather(*(user.finish(1000, "", _GOODBYE_S) for user in self.users))
        for user in self.users:
            user.abort()
        await self.context.http.aclose()
        await asyncio.sleep(0)  # transports close in the next turn of the loop

    # -- each second ---------------------------------------------------------------------------------------

    async def _tick_every_second(self) -> None:
        second = 1
        while True:
            due = self.context.microseconds(second)
            await asyncio.sleep(max(0.0, (due - self.context.now()) / 1e6))
            await self._collect()
            await self.context.counting.finish()
            self._tick()
            second = int(self.context.seconds(self.context.now())) + 1

    async def _collect(self) -> None:
        """Collect what connections have counted, in slices that do not hold up the event loop."""
        for number, user in enumerate(list(self.users)):
            user.transport.collect()
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        for _ in self.context.store.split_deliveries():
            await asyncio.sleep(0)

    def _tick(self) -> None:
        context = self.context
        patience = round((context.scenario.audit.late_after + 1) * 1e6)
        context.audit.sweep(context.now(), patience=patience)
        context.sends.fold()
        cpu, wall = time.process_time(), time.monotonic()
        share = (cpu - self._cpu) / max(wall - self._wall, 1e-9)
        self._cpu, self._wall = cpu, wall
        log, context.log = tuple(context.log), []
        self._send(
            Tick(
                context.store.drain(),
                context.users,
                context.connections,
                share,
                memory(),
                self._watch.take_stalls(),
                self._processors.taken(),
                log,
                context.audit.violations_so_far(),
                context.attendance.count_absent(),
                *context.sends.totals(),
            )
        )


def memory() -> int:
    """Resident memory of this process, in bytes."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - nothing of a path in it
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
