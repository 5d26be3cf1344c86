"""What a user does: its flow, step by step, until its stay is over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

from rtcli.load.engine import Engine
from rtcli.load.expressions import MissingDataError
from rtcli.load.flow_http import request
from rtcli.load.scenario_steps import (
    BackoffStep,
    Choose,
    Connect,
    Disconnect,
    Expect,
    Hold,
    Http,
    Join,
    KillStep,
    Leave,
    Log,
    Loop,
    Resume,
    Send,
    Signal,
    Step,
    Think,
    Typing,
    Wait,
)
from rtcli.load.timetable import Timetable
from rtcli.load.user import ConnectError, LostError, OverError, StepError, User
from rtcli.load.watch import FrameRecorder, Pattern, Watcher, found, lookup
from rtcli.load.ws_user import WsUser

_RETRY_S = 1.0  # before a flow that failed begins again, for roles that never reconnect
_GOODBYE_S = 5.0


class Flow:
    """Runs one user's flow."""

    def __init__(self, engine: Engine, user: User, end: int, *, stays: bool) -> None:
        self.engine = engine
        self.user = user
        self.end = end  # of the user's stay
        self.stays = stays  # when the flow is done: to the end of the stay
        self._before: FrameRecorder | None = None  # what came during the step before

    async def run(self) -> None:
        """Do the flow, again from its start when it fails, until the stay is over or the user is."""
        user = self.user
        started = self.engine.now()
        while not user.over and not self.engine.stopping:
            try:
                await self.steps(user.role.flow)
            except OverError:
                return
            except (StepError, ConnectError, LostError, TimeoutError, MissingDataError) as error:
                await self._failed(error)
                continue
            break
        self._count_iteration(started)
        if self.stays:
            await self._until(self.end)

    async def _failed(self, error: Exception) -> None:
        """Note what went wrong, and wait before the flow begins anew."""
        user = self.user
        text = str(error) or type(error).__name__.removesuffix("Error").lower()
        self.engine.problems[f"{user.role.name}: {text}"] += 1
        if isinstance(error, StepError | TimeoutError | LostError):
            code = error.code if isinstance(error, StepError) else "timeout"
            self.engine.count(user.role, "errors", code=code)
        if isinstance(error, ConnectError) and not error.again:
            user.give_up()
            return
        await user.finish(1000, "", _GOODBYE_S)
        user.over = False
        policy = user.role.reconnect
        delay = _RETRY_S if policy is None else policy.delay(user.rng, user.attempt)
        user.attempt += 1
        await asyncio.sleep(max(delay, 0.05))

    async def steps(self, steps: tuple[Step, ...]) -> None:
        """Do these steps, one after the other."""
        frames: FrameRecorder | None = None
        for step, following in zip_longest(steps, steps[1:]):
            self.user.scope.phase = self.engine.phase()
            self._before, frames = frames, None
            if isinstance(following, Expect):
                with self._recording() as frames:
                    await _DO[type(step)](self, step)
            else:
                await _DO[type(step)](self, step)

    @contextlib.contextmanager
    def _recording(self) -> Iterator[FrameRecorder]:
        frames = FrameRecorder()
        self.user.watch(frames)
        try:
            yield frames
        finally:
            self.user.unwatch(frames)

    async def _until(self, when: int) -> None:
        await self.engine.metronome.sleep_until(when)  # unlike asyncio.sleep, never a little early

    def _text(self, template: Any) -> str:  # noqa: ANN401 - a Template
        if template.constant is not None:
            return str(template.constant)
        return str(template.render(self.user.scope, self.user.rng))

    def _count_iteration(self, started: int) -> None:
        now = self.engine.now()
        self.engine.count(self.user.role, "iterations")
        recorder = self.user.recorders.get("iteration_duration")
        recorder.record(self.engine.moment(now), now - started)

    def _check(self, step: Step, *, good: bool) -> None:
        recorder = self.user.recorders.get("checks", step=step.label)
        recorder.check(self.engine.moment(self.engine.now()), good=good)

    # -- the connection ------------------------------------------------------------------------------------

    async def connect(self, step: Connect) -> None:
        """Open the connection, trying again as the role does."""
        user = self.user
        target = self.engine.scenario.target
        same = self.engine.scenario.protocol_of(user.role) == target.protocol
        path = step.path or (target.path if same else None)
        user.prepare(
            path=None if path is None else self._text(path),
            headers={name: self._text(value) for name, value in {**target.headers, **step.headers}.items()},
            rooms=[self._text(room) for room in step.rooms],
            events=step.events,
        )
        while True:
            try:
                await user.open(step.timeout)
            except ConnectError as error:
                if not error.again or user.role.reconnect is None:
                    raise
                await asyncio.sleep(max(user.role.reconnect.delay(user.rng, user.attempt), 0.01))
                user.attempt += 1
            else:
                user.attempt = 0
                return

    async def disconnect(self, step: Disconnect) -> None:
        """Close as the protocol wants it."""
        await self.user.finish(step.code, step.reason, _GOODBYE_S)

    async def kill(self, step: KillStep) -> None:
        """Lose the connection."""
        self.user.kill(step.how)

    async def backoff(self, step: BackoffStep) -> None:
        """Wait before coming back."""
        user = self.user
        delay = step.backoff.delay(user.rng, user.attempt)
        if user.retry_after is not None:
            delay += user.retry_after
        await asyncio.sleep(delay)

    async def resume(self, step: Resume) -> None:
        """Come back, and say what the scenario expects of it."""
        user = self.user
        if user.is_returning:  # after a cut, or a loss that was none of ours: not twice at once
            await user.wait_connected()
        if user.connected:
            return
        try:
            await user.resume(step.timeout)
        except (ConnectError, LostError, StepError, TimeoutError) as error:
            user.attempt += 1
            user.drop(None)
            user.lose(self.engine.now())
            self.engine.problems[f"{user.role.name}: could not resume: {error}".rstrip(": ")] += 1
            return
        if step.expect != "any":
            self._check(step, good=(user.recovered is True) is (step.expect == "recovered"))

    # -- rooms and messages --------------------------------------------------------------------------------

    async def join(self, step: Join) -> None:
        """Enter a room; over again when the connection is lost meanwhile."""
        room = self._text(step.room)
        while True:
            user = self._ws()
            await user.wait_connected()
            try:
                await user.join(room, step.history, step.timeout)
            except LostError:
                continue
            return

    async def leave(self, step: Leave) -> None:
        """Leave a room."""
        user = self._ws()
        await user.wait_connected()
        await user.leave(self._text(step.room), step.timeout)

    async def send(self, step: Send) -> None:
        """Send: one by one, or by a timetable."""
        user = self.user
        if step.rate is not None:
            await Timetable(self.engine, user, step.label, self.end).run(step, self._send_due)
            return
        answers = not isinstance(user, WsUser) or user.adapter.acks
        for _ in range(step.count or 1):
            if isinstance(user, WsUser):
                await user.wait_connected()
            done = asyncio.get_running_loop().create_future() if step.ack and answers else None
            if not self._send_one(step, self.engine.now(), done):
                self.engine.count(user.role, "dropped_sends")
            elif done is not None:
                async with asyncio.timeout(step.timeout):
                    await done

    def _send_due(self, step: Send | Typing, intended: int) -> bool:
        if isinstance(step, Typing):
            return self._type(step)
        return self._send_one(step, intended, None)

    def _send_one(self, step: Send, intended: int, done: asyncio.Future[None] | None) -> bool:
        return self.user.send(
            self._text(step.room),
            "" if step.text is None else self._text(step.text),
            intended,
            label=step.label,
            audit=step.audit,
            ack=step.ack,
            size=step.size,
            done=done,
        )

    async def typing(self, step: Typing) -> None:
        """Type, once or by a timetable."""
        user = self._ws()
        if step.rate is not None:
            await Timetable(self.engine, user, step.label, self.end).run(step, self._send_due)
            return
        await user.wait_connected()
        self._type(step)

    def _type(self, step: Typing) -> bool:
        user = self._ws()
        if not user.connected:
            return False
        user.typing(self._text(step.room), is_typing=step.is_typing)
        return True

    def _ws(self) -> WsUser:
        if not isinstance(self.user, WsUser):
            raise StepError("unsupported", "an event stream only receives")
        return self.user

    # -- waiting -------------------------------------------------------------------------------------------

    async def expect(self, step: Expect) -> None:
        """Watch every frame for one that matches."""
        pattern = Pattern(
            None if step.type is None else self._text(step.type),
            {path: self._text(value) for path, value in step.where.items()},
            None if step.contains is None else self._text(step.contains),
        )
        watcher = Watcher(pattern, step.count)
        if self._before is not None and not step.absent:
            self._before.replay(watcher)
        self.user.watch(watcher)
        try:
            async with asyncio.timeout(step.within):
                await watcher.done.wait()
            seen = True
        except TimeoutError:
            seen = False
        finally:
            self.user.unwatch(watcher)
        self._check(step, good=seen is not step.absent)
        if seen:
            self._capture(watcher.found, step.capture)

    def _capture(self, tree: object, captures: Mapping[str, str]) -> None:
        for name, path in captures.items():
            if found(tree, path):
                self.user.scope.session[name] = lookup(tree, path)

    async def think(self, step: Think) -> None:
        """Pause."""
        await asyncio.sleep(step.time.sample(self.user.rng))

    async def hold(self, step: Hold) -> None:
        """Stay for a time, or to the end."""
        if step.time is None:
            await self._until(self.end)
        else:
            await asyncio.sleep(step.time.sample(self.user.rng))

    async def loop(self, step: Loop) -> None:
        """Repeat; a round without any wait in it still lets others run."""
        until = (
            None if step.time is None else self.engine.now() + round(step.time.sample(self.user.rng) * 1e6)
        )
        rounds = 0
        before = self.user.scope.loop
        while (step.times is None or rounds < step.times) and not self.engine.stopping:
            now = self.engine.now()
            if now >= self.end or (until is not None and now >= until):
                break
            rounds += 1
            self.user.scope.loop = rounds
            await self.steps(step.steps)
            self._count_iteration(now)
            await asyncio.sleep(0)
        self.user.scope.loop = before

    async def choose(self, step: Choose) -> None:
        """Go one way."""
        weights = [choice.weight for choice in step.choices]
        (choice,) = self.user.rng.choices(step.choices, weights)
        await self.steps(choice.steps)

    async def wait(self, step: Wait) -> None:
        """Wait for others, a signal, or a phase."""
        if step.phase is not None:
            await self._until(self.engine.phase_start(step.phase))
            return
        name = f"signal {step.signal}" if step.signal is not None else f"barrier {step.barrier}"
        if step.barrier is not None:
            self.engine.post(("barrier", name, step.users))
        async with asyncio.timeout(step.timeout):
            await self.engine.door(name).wait()

    async def signal(self, step: Signal) -> None:
        """Let everyone pass who waits for it."""
        self.engine.post(("signal", f"signal {step.name}"))

    async def log(self, step: Log) -> None:
        """Write to the run's log."""
        self.engine.log.append(f"{self.user.name}: {self._text(step.text)}")

    async def http(self, step: Http) -> None:
        """Make a request to the deployment."""
        answer = await request(self.engine, self.user, step)
        self._check(step, good=answer.status in step.status)
        self._capture(answer.tree, step.capture)


_DO: Mapping[type, Callable[[Flow, Any], Awaitable[None]]] = {
    Connect: Flow.connect,
    Join: Flow.join,
    Leave: Flow.leave,
    Send: Flow.send,
    Typing: Flow.typing,
    Expect: Flow.expect,
    Think: Flow.think,
    Hold: Flow.hold,
    Loop: Flow.loop,
    Choose: Flow.choose,
    Wait: Flow.wait,
    Signal: Flow.signal,
    Disconnect: Flow.disconnect,
    KillStep: Flow.kill,
    BackoffStep: Flow.backoff,
    Resume: Flow.resume,
    Http: Flow.http,
    Log: Flow.log,
}
