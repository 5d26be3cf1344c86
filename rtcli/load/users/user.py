"""A user's connection: opened, lost, killed, and come back to what it was; the same for all transports.

The audit is told of every edge at the moment at which it happens, in the callback that brings it, so that a
frame behind it in the same read is judged rightly.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from random import Random

from rtcli.load.adapters.base import Joined, Opening
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.records import Subscriber
from rtcli.load.core.context import WorkerContext
from rtcli.load.core.feeders import UserScope
from rtcli.load.core.schedule import seeded
from rtcli.load.errors import ConnectError, GaveUpError, LostError, StepError
from rtcli.load.scenario.model import Role
from rtcli.load.scenario.steps import Kill
from rtcli.load.users.frame_observers import FrameObserver
from rtcli.load.users.transport import Transport
from rtcli.protocol.codes import should_reconnect
from rtcli.protocol.position import Position

RESUME_TIMEOUT_S = 10.0


class User(Transport):
    """One user. Subclasses speak a transport."""

    def __init__(self, worker: WorkerContext, role: Role, index: int, number: int) -> None:
        self.worker = worker
        self.role = role
        self.name = f"{role.name} {index + 1}"
        self.id = f"{role.name}-{index + 1}"
        self.index = index
        self.number = number
        self.recorders = worker.recorders(role)
        self.subscriber = Subscriber(self.name)
        self.scope = UserScope(
            worker.feeders,
            role=role.name,
            index=index,
            number=number,
            user_id=self.id,
            name=self.name,
            run=worker.spec.run_word,
            rng=lambda: self.rng,
        )
        self.opening = Opening()
        self.watchers: list[FrameObserver] = []
        self.connected = False
        self.places: dict[str, Position | None] = {}  # rooms that it is in, and where they stood at the join
        self.attempt = 0  # to come back, in a row
        self.retry_after: float | None = None  # what the server said
        self.over = False  # lost for good
        self.lost_at: int | None = None
        self.recovered: bool | None = None  # what the server said at the last resume
        self._returning: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._opened_at = 0
        self._is_opening = False
        self._is_unwelcome = False  # the server closed with a code that says not to come back

    @cached_property
    def rng(self) -> Random:
        """What the user draws from; made when it is needed, since it takes 2.5 KB."""
        return seeded(self.worker.scenario.seed, self.role.name, self.index)

    def token(self) -> str | None:
        """A token for this user."""
        return self.worker.spec.credentials.token(self.number, self.id, self.name, time.time())

    def prepare(
        self, *, path: str | None, headers: Mapping[str, str], rooms: Sequence[str], events: bool
    ) -> None:
        """Set what connections are opened with, this one and those after a loss."""
        self.opening = Opening(self.token(), path, headers, rooms, events)

    def watch(self, watcher: FrameObserver) -> None:
        """Show every frame to the watcher from now on."""
        self.watchers.append(watcher)

    def unwatch(self, watcher: FrameObserver) -> None:
        """No longer."""
        self.watchers.remove(watcher)

    # -- the connection's edges ----------------------------------------------------------------------------

    async def open(self, timeout: float) -> None:  # noqa: ASYNC109 - of this one attempt
        """Open the connection; raises ConnectError. Who asked for it decides what becomes of a failure."""
        self._is_opening, self._is_unwelcome = True, False
        try:
            await self._open(timeout)
        except ConnectError as error:
            error.retryable = error.retryable and not self._is_unwelcome
            raise
        finally:
            self._is_opening = False
        if not self.connected:  # closed before this task had its turn
            raise ConnectError("lost", "closed at once", retryable=not self._is_unwelcome)

    def opened(self, metric: str, started: int) -> None:
        """Note that the connection is open."""
        now = self.worker.now()
        self._opened_at = now
        self.worker.connections += 1
        self.recorders.get(metric).record(self.worker.bin_key(now), now - started)
        self.subscriber.note(now, f"connected {self.subscriber.connection}".rstrip())

    def on_closed(self, code: int, reason: str) -> None:
        """Hear that the connection has ended; see `crowd_ws.Receiver`."""
        now = self.worker.now()
        planned = self._closing is not None
        if not planned:
            self.worker.count(self.role, "close", code=str(code))
            self.subscriber.note(now, f"connection closed: {code} {reason}".rstrip())
            if code not in self.role.expect_close and not self.worker.stopping:
                self.worker.problems[
                    f"{self.role.name}: connection closed with {code} {reason}".rstrip()
                ] += 1
        self.lose(now)
        if self._closing is not None and not self._closing.done():
            self._closing.set_result(None)
        self._is_unwelcome = code != 0 and not should_reconnect(code)
        if not planned:
            self.come_back(stay_away=self._is_unwelcome)

    def lose(self, now: int) -> None:
        """Note that there is no connection any more."""
        if not self.connected:
            self.forget()
            return
        self.connected = False
        self.worker.connections -= 1
        self.lost_at = now
        for member in list(self.subscriber.memberships.values()):
            if member.joined is None:
                self.worker.audit.given_up(self.subscriber, member, now)
            else:
                self.worker.audit.lost(member, now)
        self.on_lost(now)
        self.forget()

    def kill(self, how: Kill) -> None:
        """Lose the connection on purpose."""
        if self.connected:
            now = self.worker.now()
            self.subscriber.note(now, f"killed the connection: {how}")
            self.drop(how)
            self.lose(now)

    def cut(self, how: Kill) -> None:
        """Lose the connection as in a phase's `cut`: the user comes back by itself."""
        if self.connected and self._closing is None:
            self.kill(how)
            self.come_back(stay_away=False)

    @property
    def is_returning(self) -> bool:
        """Whether it is on its way back after a loss."""
        return self._returning is not None

    # -- coming back ---------------------------------------------------------------------------------------

    def come_back(self, *, stay_away: bool) -> None:
        """Come back after a loss, if this role does that; who is opening a connection goes on by itself."""
        if self._returning is not None or self._is_opening:
            return
        if self.role.reconnect is None or stay_away or self.worker.closing:
            self.give_up()
        else:
            self._returning = asyncio.create_task(self._return())

    def give_up(self) -> None:
        """Note that what was lost stays lost."""
        self.over = True
        now = self.worker.now()
        for member in list(self.subscriber.memberships.values()):
            self.worker.audit.given_up(self.subscriber, member, now)

    async def _return(self) -> None:
        policy = self.role.reconnect
        assert policy is not None  # noqa: S101 - asked before
        try:
            while not self.worker.closing:
                delay = policy.delay(self.rng, self.attempt)
                await asyncio.sleep(delay if self.retry_after is None else self.retry_after + delay)
                self.attempt += 1
                try:
                    await self.resume(RESUME_TIMEOUT_S)
                except ConnectError as error:
                    if not error.retryable:
                        break
                except (LostError, StepError, TimeoutError):
                    self._drop_quietly()
                else:
                    return
            self.give_up()
        finally:
            self._returning = None

    def _drop_quietly(self) -> None:
        self.drop(None)
        self.lose(self.worker.now())

    async def resume(self, timeout: float) -> None:  # noqa: ASYNC109 - of this one attempt
        """Connect again and enter the rooms of before; raises what `open` and `rejoin` raise."""
        lost_at = self.lost_at
        self.recovered = None
        async with asyncio.timeout(timeout):
            await self.open(timeout)
            await self.rejoin(timeout)
        now = self.worker.now()
        self.attempt = 0
        self.retry_after = None
        self.worker.count(self.role, "reconnects")
        if lost_at is not None:
            self.recorders.get("recovery_time").record(self.worker.bin_key(now), now - lost_at)

    def is_back(self, event: Joined, now: int) -> None:
        """Hear that a room is entered: for the first time, or again after a loss."""
        audit, member = self.worker.audit, self.subscriber.memberships.get(event.room)
        if member is None:
            return
        self.places[event.room] = event.position
        if member.joined is None:
            audit.joined(member, now)
            self.recorders.get("join_ack").record(self.worker.bin_key(now), now - member.asked)
            self.subscriber.note(now, f"joined {event.room}")
        elif member.lost is not None:
            self._is_back_again(event, member, now)

    def _is_back_again(self, event: Joined, member: Membership, now: int) -> None:
        audit = self.worker.audit
        word = {True: "recovered", False: "not recovered", None: "nothing said of what was missed"}
        self.subscriber.note(now, f"rejoined {event.room}: {word[event.recovered]}")
        if event.recovered is not None:
            self.recovered = event.recovered and self.recovered is not False
        if event.recovered is False:
            audit.not_recovered(self.subscriber, member, now)
        else:  # a server that does not say that something is missing is held to that
            audit.resumed(self.subscriber, member, now)

    async def wait_connected(self) -> None:
        """Wait until the user is back in all its rooms. Raises GaveUpError, StepError (no connection)."""
        while not self.connected or self._returning is not None:
            if self.over:
                raise GaveUpError
            if self._returning is None:
                raise StepError("not_connected", "there is no connection")
            await asyncio.wait([self._returning])

    # -- the end -------------------------------------------------------------------------------------------

    async def finish(self, code: int, reason: str, timeout: float) -> None:  # noqa: ASYNC109 - then abort
        """Close in order, and leave all rooms.

        What was on its way then may not come, and nobody can tell: no protocol promises that a goodbye is
        answered behind it, and ours writes a room's messages a turn after their acknowledgement. A `leave`
        is another matter.
        """
        if self._returning is not None:
            self._returning.cancel()
            self._returning = None
        now = self.worker.now()
        audit = self.worker.audit
        members = list(self.subscriber.memberships.values())
        if self.connected:
            for member in members:
                audit.leaving(member, now)
            self._closing = asyncio.get_running_loop().create_future()
            self.say_goodbye(code, reason)
            try:
                async with asyncio.timeout(timeout):
                    await self._closing
            except TimeoutError:
                self._drop_quietly()
            finally:
                self._closing = None
        for member in members:
            if member.ended is None:
                audit.given_up(self.subscriber, member, now)

    def vanish(self) -> None:
        """Drop everything at once: the run is over."""
        if self._returning is not None:
            self._returning.cancel()
        self.over = True
        self.drop(None)
