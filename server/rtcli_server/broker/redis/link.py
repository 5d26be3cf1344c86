"""One pipelined connection to Redis: requests of one loop turn go out together, answers come back in order.

redis-py makes the connection (TLS, ACL, handshake) and is not used after that: it repeats a write whose
answer was lost, and waits for a stopped server without end. Here nothing is ever sent twice, and every
request is answered or refused within the timeout: an answer that is late, or lost with its connection, fails
the request as "outcome unknown", and the connection is closed.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as LostConnectionError
from redis.exceptions import MasterDownError, NoScriptError, ReadOnlyError, ResponseError
from typing_extensions import override

from rtcli_server.broker.base import BrokerUnavailableError, refuse
from rtcli_server.broker.health import StoreHealth
from rtcli_server.broker.redis.causes import NO_PERMISSION, cause_of
from rtcli_server.broker.redis.reconnecting import FAILURES, Connect, keep_connected
from rtcli_server.broker.redis.timings import RedisTimings
from rtcli_server.broker.validation import ForeignDataError
from rtcli_server.timing.supervision import Supervised, Supervisor

T = TypeVar("T")
MAX_OUTSTANDING = 10_000
MAX_OUTSTANDING_BYTES = 64 * 1024 * 1024
SWEEP_S = 0.1  # how often deadlines are checked
CONNECTION = Supervised("the connection to Redis for requests")
DEADLINES = Supervised("the deadlines of requests to Redis")
PROBE_TAG = "probe"
# After these a new connection helps: it loads the scripts, and looks the primary up.
_RECONNECT_AFTER = (NoScriptError, ReadOnlyError, MasterDownError)

_log = logging.getLogger(__name__)


def pack(arguments: Sequence[bytes]) -> bytes:
    """Encode one command as an array of bulk strings (RESP 2)."""
    parts = [b"*%d\r\n" % len(arguments)]
    parts += [b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in arguments]
    return b"".join(parts)


class _PendingRequest:
    __slots__ = ("deadline", "future", "packed", "parse")

    def __init__(
        self, packed: bytes, parse: Callable[[Any], Any], future: asyncio.Future[Any], deadline: float
    ) -> None:
        self.packed = packed
        self.parse = parse
        self.future = future
        self.deadline = deadline

    def answer(self, answer: object) -> None:
        """Resolve the request with Redis' answer, or fail it with the reason why that is not usable."""
        if self.future.done():
            return
        if isinstance(answer, ResponseError):
            name, text = cause_of(answer)
            # A right that is missing ends a script in between (publish.lua).
            refusal = BrokerUnavailableError(f"Redis refused: {text}", maybe_published=name == NO_PERMISSION)
            refusal.__cause__ = answer
            refuse(self.future, refusal)
            return
        try:
            self.future.set_result(self.parse(answer))
        except ForeignDataError as error:
            self._refuse_nonsense(str(error))
        except Exception as error:  # noqa: BLE001 - the request must end, and the others get their answers
            _log.exception("an answer of Redis could not be read")
            self._refuse_nonsense(repr(error))

    def _refuse_nonsense(self, why: str) -> None:
        refuse(self.future, BrokerUnavailableError(f"Redis answered nonsense: {why}", maybe_published=True))


class Link(Protocol):
    """Carries requests: to one Redis server, or to the nodes of a cluster."""

    @property
    def connected(self) -> bool:
        """Whether requests can be sent now."""
        ...

    @property
    def connects(self) -> int:
        """Number of connections made so far: a new one may be to a Redis that has lost something."""
        ...

    def probe_tags(self) -> Mapping[str, str]:
        """Tags of keys (`Names.of`), one for each node that takes publications, and the name of that node.

        None as long as there are publications that no node would take.
        """
        ...

    def request(self, packed: bytes, parse: Callable[[Any], T], key: bytes) -> asyncio.Future[T]:
        """Send a command and give what `parse` makes of its answer (bytes, int, None, list).

        `key` is one of the keys that it uses: where there are several nodes, it decides which one gets it.

        The future fails with BrokerUnavailableError, also for an error answer and when `parse` raises
        ForeignDataError.
        """
        ...

    async def close(self) -> None:
        """Wait for the answers that are due, then disconnect. Further requests are refused."""
        ...


class NodeLink(Link):
    """Sends requests over one connection, and reconnects when it is lost.

    `scripts` are loaded on every new connection, before anything else is sent. `health` is told when there is
    no connection; that there is one again does not mean that Redis takes publications.
    """

    def __init__(
        self,
        connect: Connect,
        timings: RedisTimings,
        scripts: Sequence[str],
        health: StoreHealth,
        *,
        supervisor: Supervisor,
    ) -> None:
        self._connect = connect
        self._timings = timings
        self._health = health
        self._scripts = scripts
        self._unsent: deque[_PendingRequest] = deque()
        self._sent: deque[_PendingRequest] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._broken: asyncio.Event = asyncio.Event()
        self._closing = False
        self._connected = False
        self._connects = 0
        self._tasks = [
            supervisor.start(
                CONNECTION, lambda: keep_connected(self._open, self._use, self._timings, self._health)
            ),
            supervisor.start(DEADLINES, self._sweep),
        ]

    @property
    @override
    def connected(self) -> bool:
        return self._connected

    @property
    @override
    def connects(self) -> int:
        return self._connects

    @override
    def probe_tags(self) -> Mapping[str, str]:
        return {PROBE_TAG: ""}

    @override
    def request(self, packed: bytes, parse: Callable[[Any], T], key: bytes) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closing:
            refuse(future, "the log is closed")
        elif self.outstanding >= MAX_OUTSTANDING or self._bytes > MAX_OUTSTANDING_BYTES:
            refuse(future, "the log cannot keep up")
        else:
            self._unsent.append(
                _PendingRequest(packed, parse, future, self._loop.time() + self._timings.request_s)
            )
            self._bytes += len(packed)
            self._wake.set()
        return future

    @property
    def outstanding(self) -> int:
        """The number of requests without an answer yet."""
        return len(self._unsent) + len(self._sent)

    @override
    async def close(self) -> None:
        self._closing = True
        waiting = [request.future for request in (*self._sent, *self._unsent)]
        if waiting:
            await asyncio.wait(waiting)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _open(self) -> AbstractConnection:
        connection = await self._connect()
        try:
            for script in self._scripts:
                await connection.send_packed_command([pack([b"SCRIPT", b"LOAD", script.encode()])])
                await connection.read_response(timeout=math.inf)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def _use(self, connection: AbstractConnection) -> bool:
        """Carry requests until the connection ends, then fail those that were sent over it.

        Returns whether it lasted: a replica, for example, refuses what is sent to it. Raises what ended it
        when that is no failure of the network or of Redis.
        """
        began = self._loop.time()
        self._connected = True
        self._connects += 1
        self._broken.clear()
        tasks = [
            self._loop.create_task(work)
            for work in (self._write(connection), self._read(connection), self._broken.wait())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connected = False
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            error = next((result for result in results if isinstance(result, Exception)), None)
            cause = cause_of(error or LostConnectionError("no answer in time"))
            reason = f"the connection to Redis was lost, the outcome is unknown ({cause.text})"
            self._refuse(self._sent, reason, error, maybe_published=True)
            await connection.disconnect(nowait=True)
        if error is not None and not isinstance(error, FAILURES):
            raise error
        if isinstance(error, (ReadOnlyError, MasterDownError)):
            self._health.failed(*cause)
        elif not isinstance(error, NoScriptError):
            self._health.failed(cause.name, f"the connection was lost: {cause.text}")
        return self._loop.time() - began >= self._timings.max_retry_s

    async def _write(self, connection: AbstractConnection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch = list(self._unsent)
            self._unsent.clear()
            self._sent.extend(batch)
            if batch:
                await connection.send_packed_command([b"".join([request.packed for request in batch])])

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            try:
                answer = await connection.read_response(timeout=math.inf)
            except ResponseError as error:
                answer = error
            request = self._sent.popleft()
            self._bytes -= len(request.packed)
            request.answer(answer)
            if isinstance(answer, _RECONNECT_AFTER):
                raise answer

    async def _sweep(self) -> None:
        """Refuse what waits too long: unsent requests one by one, a sent one by closing its connection."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = self._loop.time()
            if self._sent and self._sent[0].deadline < now:
                self._broken.set()
            late: deque[_PendingRequest] = deque()
            while self._unsent and self._unsent[0].deadline < now:
                late.append(self._unsent.popleft())
            self._refuse(late, "Redis is away: nothing was published")

    def _refuse(
        self,
        requests: deque[_PendingRequest],
        reason: str,
        cause: Exception | None = None,
        *,
        maybe_published: bool = False,
    ) -> None:
        while requests:
            request = requests.popleft()
            self._bytes -= len(request.packed)
            refusal = BrokerUnavailableError(reason, maybe_published=maybe_published)
            refusal.__cause__ = cause
            refuse(request.future, refusal)
