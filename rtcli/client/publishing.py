"""Publishes over HTTP in batches, which are repeated until each part has its final answer.

Every part has an id, so that a part whose answer was lost is not published twice. When a part has to be
repeated, all parts behind it are repeated too, which keeps the order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, TypeVar

import httpx
import msgspec

from rtcli.client import failures
from rtcli.client.backoff import Reconnect
from rtcli.client.credentials import TokenFunction, current_token
from rtcli.client.failures import Failure
from rtcli.client.net.answers import Answer, RedirectError, ask
from rtcli.errors import CliError, Exit
from rtcli.protocol.paths import BATCH_PATH, ROOMS_PATH

MAX_PARTS = 100
MAX_BODY_BYTES = 900_000  # of the server's 1 MiB
MAX_ANSWER_BYTES = 1_048_576  # a batch of results is a few hundred bytes for each part
ANSWER_TIMEOUT_S = 60.0  # for all of a request and its answer
GIVE_UP_S = 30.0  # after the connection to a server that answered before was lost
MAX_RETRY_AFTER_S = 60.0
_TRANSIENT = frozenset({429, 503})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """One publication. `number` is its line of stdin or its place among the arguments."""

    number: int
    body: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes that it takes of a request's body."""
        return len(msgspec.json.encode(self.body)) + 1


class Published(msgspec.Struct, frozen=True):
    """Where a part is in the log."""

    channel: str
    epoch: str
    offset: int
    position: str
    duplicate: bool


class Result(msgspec.Struct, frozen=True):
    """The server's answer to one part."""

    status: int
    published: Published | None = None
    code: str = ""
    detail: str = ""
    retry_after_ms: int | None = None


class _Results(msgspec.Struct, frozen=True):
    results: list[Result]


@dataclass(frozen=True)
class Server:
    """A server that is asked over HTTP. `token` is called for each request."""

    http: httpx.AsyncClient
    base: str  # http://host:port
    where: str  # host:port, for people
    token: TokenFunction

    async def ask(
        self, method: str, path: str, body: bytes | None, *, max_bytes: int, timeout_s: float
    ) -> Answer | Failure:
        """Make one request, with a body of JSON or none; a Failure when there was no answer to it."""
        token = await current_token(self.token)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            request = self.http.build_request(method, self.base + path, content=body, headers=headers)
            return await ask(self.http, request, max_bytes=max_bytes, timeout_s=timeout_s)
        except RedirectError as error:
            return failures.of_redirect(error, self.where)
        except (httpx.TransportError, OSError) as error:
            return failures.of_network(error, self.where)

    def read(self, answer: Answer, type_: type[T]) -> T:
        """Read the body of an answer. Raises CliError (6) for what no server of rtcli sends."""
        if answer.problem:
            raise failures.of_content(answer.problem, self.where).error
        try:
            return msgspec.json.decode(answer.content, type=type_)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise failures.of_stranger(self.where).error from None


class Publisher:
    """Publishes on one server. `on_retry(failure, delay_s)` is called before each repetition."""

    def __init__(
        self,
        server: Server,
        reconnect: Reconnect,
        *,
        on_retry: Callable[[Failure, float], None],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._reconnect = reconnect
        self._on_retry = on_retry
        self._sleep = sleep
        self._clock = clock
        self._lost_since: float | None = None

    async def probe(self) -> None:
        """Check that the server answers and accepts the token. Raises CliError."""
        while True:
            if await self._request("GET", ROOMS_PATH) is not None:
                self._got_on()
                return

    async def publish(self, parts: Sequence[Part]) -> list[Result]:
        """Publish in order and return the final answers. Raises CliError when publishing fails for good."""
        done: list[Result] = []
        while len(done) < len(parts):
            done += await self._round(parts[len(done) :])
        return done

    async def _round(self, parts: Sequence[Part]) -> list[Result]:
        """Send the parts once; return the answers up to the first that asks for a repetition."""
        body = msgspec.json.encode({"publications": [part.body for part in parts]})
        answer = await self._request("POST", BATCH_PATH, body)
        if answer is None:
            return []
        results = self._read(answer, len(parts))
        final = list(takewhile(lambda result: result.status not in _TRANSIENT, results))
        if final:
            self._got_on()
        if len(final) < len(results):
            await self._come_again(results[len(final)])
        return final

    def _got_on(self) -> None:
        """Record that the server works: a failure after this is a new one."""
        self._reconnect.answered()
        self._lost_since = None

    async def _come_again(self, result: Result) -> None:
        wait_s = min((result.retry_after_ms or 0) / 1000, MAX_RETRY_AFTER_S)
        if result.status == 429:
            # Not trouble, but the pace that the server allows.
            self._got_on()
            await self._sleep(wait_s)
            return
        error = CliError(
            f"{self._server.where} cannot publish this now: {result.detail}",
            hint="is its log up?",
            exit_code=Exit.CANNOT_CONNECT,
        )
        await self._wait(Failure(result.code or "unavailable", error, retry=True, retry_after_s=wait_s))

    async def _request(self, method: str, path: str, body: bytes | None = None) -> Answer | None:
        """Make one request; None: it failed, was waited for, and is to be made again. Raises CliError."""
        answer = await self._server.ask(
            method, path, body, max_bytes=MAX_ANSWER_BYTES, timeout_s=ANSWER_TIMEOUT_S
        )
        if isinstance(answer, Failure):
            await self._wait(answer)
            return None
        if answer.status == 200:
            return answer
        if answer.status == 429:
            self._got_on()
            await self._sleep(_pace_s(answer))
            return None
        await self._wait(
            failures.of_status(
                answer.status,
                self._server.where,
                what="no publishing",
                retry_after=answer.headers.get("retry-after"),
            )
        )
        return None

    async def _wait(self, failure: Failure) -> None:
        now = self._clock()
        self._lost_since = now if self._lost_since is None else self._lost_since
        if self._reconnect.ever_connected and now - self._lost_since > GIVE_UP_S:
            raise failure.error
        delay = self._reconnect.delay(failure, now=now)
        self._on_retry(failure, delay)
        await self._sleep(delay)

    def _read(self, answer: Answer, expected: int) -> list[Result]:
        results = self._server.read(answer, _Results).results
        if len(results) != expected:
            raise failures.of_stranger(self._server.where).error
        return results


def _pace_s(answer: Answer) -> float:
    """Seconds to wait after 429: the milliseconds in the problem document, else the header Retry-After."""
    try:
        wait_ms = msgspec.json.decode(answer.content, type=Result).retry_after_ms
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        wait_ms = None
    header_s = failures.parse_retry_after(answer.headers.get("retry-after"))
    wait_s = header_s or 1.0 if wait_ms is None else wait_ms / 1000
    return min(wait_s, MAX_RETRY_AFTER_S)
