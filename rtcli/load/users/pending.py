"""What waits for an answer over a WebSocket: messages, joins and leaves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from rtcli.load.audit.sender_log import SenderLog
from rtcli.load.errors import LostError, StepError
from rtcli.load.net.patience import patient_timeout


@dataclass(slots=True)
class PendingMessage:
    """A message that waits for its acknowledgement. `log` is None for one without a token."""

    log: SenderLog | None
    number: int
    intended: int
    label: str
    done: asyncio.Future[None] | None


class PendingReplies:
    """Messages by id, requests by id and by room: protocols confirm with the one or the other."""

    __slots__ = ("_by_room", "_messages", "_requests", "_unclaimed")

    def __init__(self) -> None:
        self._unclaimed: list[str] = []  # codes of errors that do not tell what they answer
        self._messages: dict[str, PendingMessage] = {}
        self._requests: dict[str, asyncio.Future[None]] = {}
        self._by_room: dict[str, str] = {}

    def add(self, request_id: str, message: PendingMessage) -> None:
        """Wait for the acknowledgement of a message."""
        self._messages[request_id] = message

    async def confirmation(self, room: str, request_id: str, timeout: float) -> None:  # noqa: ASYNC109 - of this
        """Wait until a request is confirmed. Raises LostError, StepError (refused), TimeoutError."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests[request_id] = done
        self._by_room[room] = request_id
        try:
            async with patient_timeout(timeout):
                await done
        finally:
            self._requests.pop(request_id, None)

    def acknowledge(self, request_id: str) -> PendingMessage | None:
        """Take out the message that is acknowledged; None if there is none with this id."""
        message = self._messages.pop(request_id, None)
        if message is not None:
            resolve(message.done)
        return message

    def confirm(self, room: str) -> None:
        """Confirm the last request about a room."""
        resolve(self._requests.get(self._by_room.pop(room, "")))

    def refuse(self, request_id: str, code: str) -> PendingMessage | None:
        """Refuse the message or the request with this id. Returns the message, if it was one."""
        message = self._messages.pop(request_id, None)
        request = message.done if message is not None else self._requests.get(request_id)
        if request is not None and not request.done():
            request.set_exception(StepError(code, f"refused: {code}"))
        return message

    def note_error(self, code: str) -> None:
        """Record an error that does not tell what it answers."""
        if self._messages and len(self._unclaimed) < len(self._messages):
            self._unclaimed.append(code)

    @property
    def is_waiting(self) -> bool:
        """Whether a message waits for its acknowledgement."""
        return bool(self._messages)

    def take_messages(self) -> list[tuple[PendingMessage, str]]:
        """Take out all messages that nothing has answered, oldest first, and fail who waits for them.

        Each comes with the code of an error that may have been its answer, or with "": some errors do not
        tell what they answer.
        """
        codes = self._unclaimed + [""] * len(self._messages)
        taken = list(zip(self._messages.values(), codes, strict=False))
        self._messages.clear()
        self._unclaimed.clear()
        for message, _ in taken:
            fail(message.done)
        return taken

    def fail_requests(self) -> None:
        """Fail all requests with LostError: the connection is lost."""
        for future in self._requests.values():
            fail(future)
        self._requests.clear()
        self._by_room.clear()


def fail(future: asyncio.Future[None] | None) -> None:
    """Fail a future with LostError, unless it is None or done."""
    if future is not None and not future.done():
        future.set_exception(LostError())
        future.exception()  # retrieved: whoever waited may have given up already


def resolve(future: asyncio.Future[None] | None) -> None:
    """Resolve a future, unless it is None or done."""
    if future is not None and not future.done():
        future.set_result(None)
