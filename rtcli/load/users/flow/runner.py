"""Runs a user's flow, step by step, until its stay is over."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

from rtcli.load.accounts.attendance import MIN_GRACE_US
from rtcli.load.core.planned_sends import FlowPoint
from rtcli.load.errors import ConnectError, GaveUpError, LostError, StepError
from rtcli.load.scenario.expressions import MissingDataError
from rtcli.load.scenario.steps import Expect, Step
from rtcli.load.users.absence_causes import of_failed_flow
from rtcli.load.users.flow.out_of_reach import OutOfReach
from rtcli.load.users.frame_observers import FrameRecorder
from rtcli.load.users.user import User

Action = Callable[["Flow", Any], Awaitable[None]]
"""Runs a step of the kind that it is for."""

GOODBYE_S = 5.0


class Flow:
    """One user's flow. `actions` run its steps by kind; `stays`: when it is done, the user stays to `end`.

    `late`: by how many µs the load generator begins it too late; it grows when the generator stands still
    for long at a step. Its schedules begin when they should have.
    """

    def __init__(
        self, user: User, end: int, *, stays: bool, actions: Mapping[type, Action], late: int = 0
    ) -> None:
        self.user = user
        self.context = user.context
        self.worker = user.context.worker
        self.end = end  # of the user's stay
        self.stays = stays
        self.late = late  # of its first schedule; 0 once that has begun
        self._actions = actions
        self.before: FrameRecorder | None = None  # the frames that came during the step before
        self.points: list[FlowPoint] = []  # where it is, the outermost first; also after a step has failed
        self.out_of_reach = OutOfReach(user, self.points, end)

    async def run(self) -> None:
        """Run the flow, again from its start when it fails, until the stay is over or the user gave up.

        Raises what is not the server's doing: errors of adapters, of the scenario's data, and our own.
        """
        user = self.user
        started = self.worker.now()
        while not user.gave_up and not self.worker.stopping:
            try:
                await self.steps(self.context.role.flow)
            except GaveUpError:
                return
            except (StepError, ConnectError, LostError, TimeoutError, MissingDataError) as error:
                if isinstance(error, MissingDataError) and not error.captured:
                    raise
                await self._failed(error)
                continue
            break
        self.count_iteration(started)
        if self.stays:
            await self.until(self.end)

    async def _failed(self, error: Exception) -> None:
        """Record what went wrong, and wait before the flow begins again."""
        self.late = 0
        self.out_of_reach.hold_up()
        self.points.clear()
        text = str(error) or type(error).__name__.removesuffix("Error").lower()
        self.context.report_problem(text)
        if isinstance(error, StepError | TimeoutError | LostError):
            code = error.code if isinstance(error, StepError) else "timeout"
            self.context.count("errors", code=code)
        if isinstance(error, ConnectError) and not error.retryable:
            self.user.give_up()
            return
        if not isinstance(error, ConnectError):
            self.user.presence.flow_failed(self.worker.now(), of_failed_flow(error))
        await self.user.start_over(GOODBYE_S)

    async def steps(self, steps: tuple[Step, ...], point: FlowPoint | None = None) -> None:
        """Run steps one after the other. `point` tells where the flow is in them."""
        frames: FrameRecorder | None = None
        point = FlowPoint(steps) if point is None else point
        self.points.append(point)
        for number, (step, following) in enumerate(zip_longest(steps, steps[1:])):
            self.context.scope.phase = self.worker.phase()
            self.context.step = step
            point.begin(number, self.worker.seconds(self.worker.now()))
            self.before, frames = frames, None
            if isinstance(following, Expect):
                with self._recording() as frames:
                    await self._actions[type(step)](self, step)
            else:
                await self._actions[type(step)](self, step)
            self.went_on()
        self.points.pop()

    @contextlib.contextmanager
    def _recording(self) -> Iterator[FrameRecorder]:
        frames = FrameRecorder()
        self.user.transport.add_observer(frames)
        try:
            yield frames
        finally:
            self.user.transport.remove_observer(frames)

    # -- what steps share ----------------------------------------------------------------------------------

    async def wait_connected(self) -> None:
        """Wait until the user is back in all its rooms. Raises GaveUpError, StepError (no connection)."""
        if self.user.is_back:
            return
        self.out_of_reach.hold_up()
        await self.user.wait_connected()
        self.went_on()

    def went_on(self) -> None:
        """The flow goes on: account for what it did not come to, if it was held up."""
        if self.out_of_reach.is_held_up:
            self.worker.counting.add(self.out_of_reach.reached())

    def take_late(self) -> int:
        """By how many µs a schedule that begins now is too late, because the load generator was.

        What was due in an absence before it is accounted for: the schedule does not send that as well.
        """
        late, self.late = self.late, 0
        now = self.worker.now()
        absent = self.user.presence.absent(now)
        return min(late, now - absent[-1][1]) if absent else late

    async def until(self, when: int) -> None:
        """Wait until a time of the run's clock."""
        await self.worker.timers.sleep_until(when)  # unlike asyncio.sleep, never a little early
        self._add_late(self.worker.now() - when)

    def was_answered(self, since: int) -> None:
        """The server has answered what was asked at that time. What the generator stood still is not its."""
        now = self.worker.now()
        if now - since >= MIN_GRACE_US:
            self._add_late(self.worker.stalls.within(since, now))

    def _add_late(self, late: int) -> None:
        if late >= MIN_GRACE_US:
            self.late += late

    def text(self, template: Any) -> str:  # noqa: ANN401 - a Template
        """A template rendered for this user."""
        if template.constant is not None:
            return str(template.constant)
        return str(template.render(self.context.scope, self.context.rng))

    def count_iteration(self, started: int) -> None:
        """Count an iteration of a flow or a loop that began at `started`."""
        now = self.worker.now()
        self.context.count("iterations")
        recorder = self.context.recorders.get("iteration_duration")
        recorder.record(self.worker.bin_key(now), now - started)

    def check(self, step: Step, *, good: bool) -> None:
        """Count whether the expectation of a step is met."""
        recorder = self.context.recorders.get("checks", step=step.label)
        recorder.check(self.worker.bin_key(self.worker.now()), good=good)
