"""Sending over ASGI, where `send` has to be awaited: a task exists only while something waits to be sent.

Between two messages, a connection has no task of its own but the one that the ASGI server gave it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from starlette.websockets import WebSocketDisconnect

from rtcli_server.connections.send_budget import SendBudget
from rtcli_server.timing.containment import contained

_log = logging.getLogger(__name__)

T = TypeVar("T")


class QueueObserver(Protocol):
    """Is told how much waits."""

    def set_busy(self, *, on: bool) -> None:
        """`on`: more waits than the budget's `high_bytes`. Not `on`: the queue has drained."""
        ...

    def set_full(self) -> None:
        """More waits than the budget allows; it ends with `set_busy(on=False)`."""
        ...


class _Nobody:
    def set_busy(self, *, on: bool) -> None:
        pass

    def set_full(self) -> None:
        pass


_NOBODY = _Nobody()


async def _drop(_item: object) -> None:
    pass


def _nothing() -> None:
    pass


class SendQueue(Generic[T]):
    """Sends items in order. `size_of(item)` is in bytes; `beyond()` is what waits behind `send`, in bytes.

    `abort` drops the connection: it is called when `send` raises, because the client is gone or otherwise.
    """

    def __init__(
        self,
        send: Callable[[T], Awaitable[None]],
        *,
        size_of: Callable[[T], int],
        budget: SendBudget,
        observer: QueueObserver,
        abort: Callable[[], None],
        beyond: Callable[[], int] = int,
    ) -> None:
        self._send = send
        self._size_of = size_of
        self._budget = budget
        self._observer = observer
        self._abort = abort
        self._beyond = beyond
        self._waiting: deque[T] = deque()
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self.busy = False
        self.full = False

    @property
    def waiting_bytes(self) -> int:
        """Number of bytes that wait to be sent."""
        return self._size + self._beyond()

    def put(self, item: T) -> None:
        """Send an item after those that wait. After `end` or `stop` it is dropped."""
        if self._ended:
            return
        self._waiting.append(item)
        self._size += self._size_of(item)
        if self._size > self._budget.high_bytes:
            self._check()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._send_all())

    def _check(self) -> None:
        if not self.busy:
            self.busy = True
            self._observer.set_busy(on=True)
        if not self.full and self.waiting_bytes > self._budget.limit_bytes:
            self.full = True
            self._observer.set_full()

    def end(self, last: T) -> None:
        """Send a last item; drop what is put after it."""
        self.put(last)
        self._ended = True

    def stop(self) -> None:
        """Drop the items that wait, cancel a send under way, and let go of everyone: no cycle is left."""
        self._ended = True
        self._clear()
        if self._task is not None:
            self._task.cancel()
        self._send, self._abort, self._beyond, self._observer = _drop, _nothing, int, _NOBODY

    def _clear(self) -> None:
        self._waiting.clear()
        self._size = 0

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                item = self._waiting.popleft()
                await self._send(item)
                self._size -= self._size_of(item)
                if self.busy and self._size <= self._budget.low_bytes:
                    self.busy = self.full = False
                    self._observer.set_busy(on=False)
        except (OSError, RuntimeError, WebSocketDisconnect):
            self._drop()  # the client is gone; the reading side may not be reading
        except Exception:  # noqa: BLE001 - nobody awaits this task, and nothing would be sent any more
            _log.exception("sending failed; the connection is cut")
            self._drop()
        finally:
            self._task = None

    def _drop(self) -> None:
        self._ended = True
        self._clear()
        with contained(_log, "cutting a connection failed"):
            self._abort()
