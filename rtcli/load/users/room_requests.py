"""The rooms of a user over WebSocket: what is asked of the server to enter and to leave them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rtcli.load.adapters.interface import Joined, Left, WsAdapter
from rtcli.load.audit.records import KEPT_BYTES, Note
from rtcli.load.errors import LostError, StepError
from rtcli.load.users.context import UNCONFIRMED_US, UserContext
from rtcli.load.users.memberships import Memberships
from rtcli.load.users.pending import PendingReplies
from rtcli.protocol.position import Position


class RoomRequests:
    """Sends joins and leaves with `write` (False: no connection) and waits until they are confirmed."""

    __slots__ = ("_adapter", "_count", "_memberships", "_on_left", "_pending", "_user", "_write")

    def __init__(
        self,
        user: UserContext,
        memberships: Memberships,
        adapter: WsAdapter,
        pending: PendingReplies,
        *,
        write: Callable[[bytes], bool],
        on_left: Callable[[Left, int], None],
    ) -> None:
        self._user = user
        self._memberships = memberships
        self._adapter = adapter
        self._pending = pending
        self._write = write
        self._on_left = on_left
        self._count = 0

    async def join(self, room: str, history: int, timeout: float) -> None:  # noqa: ASYNC109 - of the answer
        """Enter a room. Raises LostError, StepError, TimeoutError."""
        if self._memberships.get(room) is not None:
            return
        member = self._memberships.request(room, websocket=True, history=history > 0)
        try:
            await self._enter(room, None, history, timeout)
        except (StepError, TimeoutError):
            self._memberships.end(member, self._user.worker.now())
            raise

    async def rejoin(self, timeout: float) -> None:  # noqa: ASYNC109 - of the answers
        """Enter all rooms again, and ask for what was missed. Raises LostError, StepError, TimeoutError."""
        resumes, position_of = self._adapter.resumes, self._memberships.resume_position
        waiting = [
            self._enter(member.room, position_of(member) if resumes else None, 0, timeout)
            for member in self._memberships
        ]
        await asyncio.gather(*waiting)

    async def _enter(self, room: str, since: Position | None, history: int, timeout: float) -> None:  # noqa: ASYNC109 - of this one request
        request_id = self._next_id()
        frame = self._adapter.join(room, since, history, request_id, self._user.scope)
        if frame is not None and self._adapter.confirms:
            await self._request(room, request_id, frame, timeout)
            return
        if frame is not None:
            self._write(frame)
        joined = Joined(room, None, None)
        self._unconfirmed(lambda now: self._memberships.confirm(joined, now))

    async def leave(self, room: str, timeout: float) -> None:  # noqa: ASYNC109 - of the answer
        """Leave a room. Raises LostError, StepError, TimeoutError."""
        member = self._memberships.get(room)
        if member is None:
            return
        self._user.worker.audit.leaving(member, self._user.worker.now())
        request_id = self._next_id()
        frame = self._adapter.leave(room, request_id, self._user.scope)
        if frame is not None and self._adapter.confirms_leaves:
            await self._request(room, request_id, frame, timeout)
            return
        if frame is not None:
            self._write(frame)
        self._unconfirmed(lambda now: self._on_left(Left(room), now))

    def _unconfirmed(self, count_as_done: Callable[[int], None]) -> None:
        self._user.worker.timers.call_at(self._user.worker.now() + UNCONFIRMED_US, count_as_done)

    async def _request(self, room: str, request_id: str, frame: bytes, timeout: float) -> None:  # noqa: ASYNC109 - of this one request
        """Send a request that is confirmed by the room's name or refused by the request's id."""
        if not self._write(frame):
            raise LostError
        self._user.subscriber.notes.append(Note(self._user.worker.now(), "out", frame[:KEPT_BYTES]))
        await self._pending.confirmation(room, request_id, timeout)

    def _next_id(self) -> str:
        self._count += 1
        return f"q{self._count}"
