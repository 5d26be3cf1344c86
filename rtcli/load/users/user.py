"""A user: its connection opened, lost, killed, and opened again; the same over all transports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from typing_extensions import override

from rtcli.load.accounts.absences import Cause
from rtcli.load.adapters.interface import Opening, SseAdapter, WsAdapter
from rtcli.load.core.context import WorkerContext
from rtcli.load.errors import ConnectError, GaveUpError, LostError, RefusedError, StepError
from rtcli.load.net.patience import patient_timeout
from rtcli.load.scenario.distributions import Backoff
from rtcli.load.scenario.model import STREAM_ENDS, Role, close_name
from rtcli.load.scenario.steps import Connect, Kill, Resume, walk
from rtcli.load.users.absence_causes import GENERATOR_FAILED
from rtcli.load.users.context import UserContext
from rtcli.load.users.event_stream import SseTransport
from rtcli.load.users.memberships import Memberships
from rtcli.load.users.planned_rooms import PlannedRooms
from rtcli.load.users.presence_reports import PresenceReports
from rtcli.load.users.send_reports import SendReports
from rtcli.load.users.transport import Transport, TransportObserver, UnacceptedMessage
from rtcli.load.users.websocket import WebSocketTransport
from rtcli.protocol.codes import should_reconnect

RESUME_TIMEOUT_S = 10.0
_RETRY_S = 1.0  # before a flow that failed begins again, for roles that never reconnect

MakeTransport = Callable[[UserContext, Memberships, TransportObserver], Transport]


class User(TransportObserver):
    """One user and the transport that it sends and receives over. `end` (µs): when its part is over."""

    def __init__(self, context: UserContext, make_transport: MakeTransport, *, end: int) -> None:
        self.context = context
        self.memberships = Memberships(context)
        self.transport = make_transport(context, self.memberships, self)
        self.planned_rooms = PlannedRooms(context, self.memberships)
        self.presence = context.worker.attendance.begin(
            context.name,
            context.role.name,
            end,
            due=not any(isinstance(step, Connect) for step in walk(context.role.flow)),
            notes=context.subscriber.notes,
            rooms=self.planned_rooms,
        )
        self._reports = PresenceReports(context, self.presence, stream=self.transport.rooms is None)
        self.send_reports = SendReports(context, self.presence)
        self.connected = False
        self.gave_up = False
        self._worker = context.worker
        self._attempt = 0  # to reconnect, in a row
        self._retry_after: float | None = None  # seconds to wait before reconnecting, as the server said
        self._opening = Opening()
        self._lost_at: int | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[None] | None = None  # done when the close that was asked for is over
        self._is_opening = False
        self._can_resume = any(isinstance(step, Resume) for step in walk(context.role.flow))
        self._is_unwelcome = False  # the server closed with a code that says not to come back

    # -- opening and losing --------------------------------------------------------------------------------

    async def connect(self, opening: Opening, timeout: float) -> None:  # noqa: ASYNC109 - of one attempt
        """Open a connection; if that fails, try again as the role's `reconnect` says. Raises ConnectError.

        Connections after a loss are opened with the same `opening`.
        """
        self._opening = opening
        policy = self.context.role.reconnect
        while True:
            try:
                with self._reports.attempt():
                    await self._open(timeout)
            except ConnectError as error:
                if not error.retryable or policy is None:
                    raise
                await asyncio.sleep(max(policy.delay(self.context.rng, self._attempt), 0.01))
                self._attempt += 1
            else:
                self._attempt = 0
                return

    async def _open(self, timeout: float) -> None:  # noqa: ASYNC109 - of this one attempt
        """Open the connection once. Raises ConnectError."""
        self._is_opening, self._is_unwelcome = True, False
        try:
            await self.transport.open(self._opening, timeout)
        except (OSError, TimeoutError, RefusedError, LostError) as error:
            raise self._open_failed(error) from error
        finally:
            self._is_opening = False
        if not self.connected:  # closed before this task had its turn
            raise ConnectError("lost", "closed at once", retryable=not self._is_unwelcome)

    def _open_failed(self, error: Exception) -> ConnectError:
        status = error.status if isinstance(error, RefusedError) else 0
        code = str(status) if status else type(error).__name__.removesuffix("Error").lower()
        self.context.count("connect_failed", code=code)
        if self.connected:
            self._drop()
        else:
            self.memberships.end_unconfirmed(self._worker.now())
        retryable = status not in self.transport.final_statuses and not self._is_unwelcome
        return ConnectError(code, str(error) or "no answer", retryable=retryable)

    @override
    def on_open(self, now: int) -> None:
        self.connected = True
        self._worker.connections += 1
        subscriber = self.context.subscriber
        subscriber.note(now, f"connected {subscriber.connection}".rstrip())
        self._reports.opened()

    @override
    def on_refused(self, message: UnacceptedMessage, code: str) -> None:
        self.send_reports.refused(message, code)

    @override
    def on_unanswered(self, message: UnacceptedMessage, closed: int | None) -> None:
        self.send_reports.unanswered(message, closed, closing=self._closing is not None)

    @override
    def why_unanswered(self, closed: int | None) -> tuple[str, str] | None:
        return self.send_reports.why_unanswered(closed, closing=self._closing is not None)

    @override
    def on_failed(self, message: UnacceptedMessage, cause: Cause) -> None:
        self.send_reports.failed(message, cause)

    @override
    def on_closing(self, retry_after: float | None) -> None:
        self._retry_after = retry_after

    @override
    def on_closed(self, code: int, reason: str, retry_after: float | None = None) -> None:
        if self._retry_after is None:
            self._retry_after = retry_after
        now = self._worker.now()
        planned = self._closing is not None
        if not planned:
            self._record_close(code, reason, now)
            self._reports.closed(code, now, was_let_in=self.transport.was_let_in)
        self._mark_lost(now, dropped=not planned and self._is_late_drop(code))
        if self._closing is not None and not self._closing.done():
            self._closing.set_result(None)
        self._is_unwelcome = code not in STREAM_ENDS and not should_reconnect(code)
        if not planned:
            self._start_reconnecting(unwelcome=self._is_unwelcome)

    @override
    def on_failure(self, error: Exception) -> None:
        """Report what an adapter or our own code raised for this user, who is absent by that."""
        self.context.report_failure(error)
        self.presence.flow_failed(self._worker.now(), GENERATOR_FAILED)

    def _record_close(self, code: int, reason: str, now: int) -> None:
        """Record that the connection has ended although the user did not ask for it."""
        name = close_name(code)
        self.context.count("close", code=name)
        self.context.subscriber.note(now, f"connection closed: {name} {reason}".rstrip())
        if code not in self.context.role.expect_close and not self._worker.stopping:
            self.context.report_problem(f"connection closed with {name} {reason}".rstrip())

    def _is_late_drop(self, code: int) -> bool:
        """Whether a close comes after the whole of the phases, and nothing in the scenario asks for it."""
        worker, role = self._worker, self.context.role
        reads_slowly = role.read is not None  # it may have been closed long before
        return worker.settling and not worker.closing and not reads_slowly and code not in role.expect_close

    def _mark_lost(self, now: int, *, dropped: bool = False) -> None:
        if self.connected:
            self.connected = False
            self._worker.connections -= 1
            self._lost_at = now
            self.memberships.lose(now, dropped=dropped)

    def _drop(self, how: Kill = Kill.RST) -> None:
        self.transport.drop(how)
        self._mark_lost(self._worker.now())

    def kill(self, how: Kill) -> None:
        """Lose the connection on purpose; the flow says what follows."""
        if self.connected:
            self.context.subscriber.note(self._worker.now(), f"killed the connection: {how}")
            self._drop(how)

    def cut(self, how: Kill) -> None:
        """Lose the connection as in a phase's `cut`, if the user is let in: it reconnects by itself."""
        if self.connected and self._closing is None and not self._is_opening:
            self.presence.asked_away(self._worker.now())
            self.kill(how)
            self._start_reconnecting(unwelcome=False)

    # -- reconnecting --------------------------------------------------------------------------------------

    @property
    def is_reconnecting(self) -> bool:
        """Whether it is reconnecting by itself after a loss."""
        return self._reconnecting is not None

    def _start_reconnecting(self, *, unwelcome: bool) -> None:
        """Reconnect after a loss, if the role does; a flow that is opening a connection goes on by itself."""
        if self._reconnecting is not None or self._is_opening:
            return
        policy = self.context.role.reconnect
        if policy is None or unwelcome or self._worker.closing:
            self.give_up()
        else:
            self._reconnecting = asyncio.create_task(self._reconnect(policy))

    def give_up(self) -> None:
        """Do not reconnect any more: what was lost stays lost, unless a step of the flow resumes it."""
        self.gave_up = True
        if self._can_resume:
            return
        now = self._worker.now()
        for member in self.memberships:
            self.memberships.end(member, now)

    async def _reconnect(self, policy: Backoff) -> None:
        try:
            while not self._worker.closing:
                await self.back_off(policy)
                self._attempt += 1
                try:
                    await self._resume(RESUME_TIMEOUT_S)
                except ConnectError as error:
                    if not error.retryable:
                        break
                except (LostError, StepError, TimeoutError):
                    self._drop()
                else:
                    return
            self.give_up()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            self.on_failure(error)
            self.give_up()
        finally:
            self._reconnecting = None

    async def back_off(self, policy: Backoff) -> None:
        """Wait before reconnecting: a delay of the policy, on top of what the server asks for."""
        await asyncio.sleep(policy.delay(self.context.rng, self._attempt) + (self._retry_after or 0.0))

    async def _resume(self, timeout: float) -> None:  # noqa: ASYNC109 - of this one attempt
        """Connect and enter all rooms again. Raises ConnectError, LostError, StepError, TimeoutError."""
        lost_at = self._lost_at
        self.memberships.recovered, self.memberships.began_anew = None, False
        with self._reports.attempt(resumed=lambda: not self.memberships.began_anew):
            async with patient_timeout(timeout):
                await self._open(timeout)
                self._reports.greeted()
                if self.transport.rooms is not None:
                    await self.transport.rooms.rejoin(timeout)
                if not self.connected:  # lost again before this task had its turn
                    raise LostError
        now = self._worker.now()
        self.gave_up = False
        self._attempt = 0
        self._retry_after = None
        self.context.count("reconnects")
        if lost_at is not None:
            recorder = self.context.recorders.get("recovery_time")
            recorder.record(self._worker.bin_key(now), now - lost_at)

    async def resume(self, timeout: float) -> str | None:  # noqa: ASYNC109 - of this one attempt
        """Connect again and enter all rooms again, once. Returns why it failed, None if it did not."""
        try:
            await self._resume(timeout)
        except (ConnectError, LostError, StepError, TimeoutError) as error:
            self._attempt += 1
            self._drop()
            return str(error)
        return None

    @property
    def is_back(self) -> bool:
        """Whether it is connected, and in all its rooms again if it had lost the connection."""
        return self.connected and self._reconnecting is None

    async def wait_connected(self) -> None:
        """Wait until the user is back in all its rooms. Raises GaveUpError, StepError (no connection)."""
        while not self.is_back:
            if self.gave_up:
                raise GaveUpError
            if self._reconnecting is None:
                raise StepError("not_connected", "there is no connection")
            await asyncio.wait([self._reconnecting])

    # -- the end -------------------------------------------------------------------------------------------

    def settle_messages(self) -> None:
        """Account for the messages that are still without an answer: the run has settled."""
        for message, error in self.transport.take_unanswered():
            self.send_reports.never_answered(message, error, self._worker.now())

    async def finish(self, code: int, reason: str, timeout: float) -> None:  # noqa: ASYNC109 - then abort
        """Close in order, and leave all rooms.

        What is on its way then may or may not come: no protocol promises that a goodbye is answered after
        it, and ours writes a room's messages a turn after their acknowledgement. A `leave` is another matter.
        """
        self._stop_reconnecting()
        now = self._worker.now()
        members = list(self.memberships)
        if self.connected:
            for member in members:
                self._worker.audit.leaving(member, now)
            self._closing = asyncio.get_running_loop().create_future()
            self.transport.close(code, reason)
            try:
                async with patient_timeout(timeout):
                    await self._closing
            except TimeoutError:
                self._drop()
            finally:
                self._closing = None
        for member in members:
            if member.ended is None:
                self.memberships.end(member, now)

    async def start_over(self, timeout: float) -> None:  # noqa: ASYNC109 - of the goodbye
        """Close, and wait as long as before reconnecting: the flow failed and begins again."""
        await self.finish(1000, "", timeout)
        self.gave_up = False
        policy = self.context.role.reconnect
        delay = _RETRY_S if policy is None else policy.delay(self.context.rng, self._attempt)
        self._attempt += 1
        await asyncio.sleep(max(delay, 0.05))

    def _stop_reconnecting(self) -> None:
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            self._reconnecting = None

    def abort(self) -> None:
        """Drop the connection at once: the run is over."""
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        self.gave_up = True
        self.transport.drop(Kill.RST)


def make_user(
    worker: WorkerContext,
    role: Role,
    index: int,
    number: int,
    adapter: WsAdapter | SseAdapter,
    *,
    end: int,
) -> User:
    """Make a user with the transport of its role's adapter. `end` is when its part ends (µs)."""
    context = UserContext(worker, role, index, number)
    if adapter.transport == "ws":
        return User(
            context, lambda user, rooms, observer: WebSocketTransport(user, rooms, adapter, observer), end=end
        )
    return User(context, lambda user, rooms, observer: SseTransport(user, rooms, adapter, observer), end=end)
