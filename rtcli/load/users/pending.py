"""What a user waits for over WebSocket: acknowledgements, and the confirmations of joins and leaves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from rtcli.load.audit.sender_log import SenderLog
from rtcli.load.errors import LostError, StepError


@dataclass(slots=True)
class Pending:
    """A message that waits for its acknowledgement."""

    log: SenderLog | None
    number: int
    intended: int
    label: str
    done: asyncio.Future[None] | None


class PendingReplies:
    """Messages by id, requests by id and by room: protocols confirm with the one or the other."""

    __slots__ = ("_by_room", "_messages", "_requests")

    def __init__(self) -> None:
        self._messages: dict[str, Pending] = {}
        self._requests: dict[str, asyncio.Future[None]] = {}
        self._by_room: dict[str, str] = {}

    def add(self, identity: str, message: Pending) -> None:
        """Wait for the acknowledgement of a message."""
        self._messages[identity] = message

    async def confirmation(self, room: str, identity: str, timeout: float) -> None:  # noqa: ASYNC109 - of this
        """Wait until a request is confirmed; raises LostError, StepError (refused), TimeoutError."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests[identity] = done
        self._by_room[room] = identity
        try:
            async with asyncio.timeout(timeout):
                await done
        finally:
            self._requests.pop(identity, None)

    def acknowledge(self, identity: str) -> Pending | None:
        """Take out a message that is acknowledged; None if nothing waited for that."""
        message = self._messages.pop(identity, None)
        if message is not None:
            answer(message.done)
        return message

    def confirm(self, room: str) -> None:
        """Answer the last request about a room."""
        answer(self._requests.get(self._by_room.pop(room, "")))

    def refuse(self, identity: str, code: str) -> Pending | None:
        """Refuse the message or the request with this id; returns the message, if it was one."""
        message = self._messages.pop(identity, None)
        request = message.done if message is not None else self._requests.get(identity)
        if request is not None and not request.done():
            request.set_exception(StepError(code, f"refused: {code}"))
        return message

    def forget(self) -> None:
        """Give up everything: the connection is lost."""
        for future in [*self._requests.values(), *(message.done for message in self._messages.values())]:
            give_up(future)
        self._requests.clear()
        self._by_room.clear()
        self._messages.clear()


def give_up(future: asyncio.Future[None] | None) -> None:
    """Tell who waits for it, if anybody, that the connection is lost."""
    if future is not None and not future.done():
        future.set_exception(LostError())
        future.exception()  # somebody may have given up on it already


def answer(future: asyncio.Future[None] | None) -> None:
    """Let go on who waits for it, if anybody."""
    if future is not None and not future.done():
        future.set_result(None)
