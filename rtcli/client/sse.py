"""Follows an event stream: reconnection and resume as in the WHATWG HTML standard, section 9.2.

Beyond the standard: any 5xx, 408 and 429 is tried again (a browser would give up), delays have full jitter
once the server's own `retry:` was followed, and a stream that is silent for too long counts as lost.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from rtcli.client import failures
from rtcli.client.backoff import Reconnect
from rtcli.client.failures import ConnectionLostError, Failure
from rtcli.client.net.answers import RedirectError, open_answer
from rtcli.errors import CliError, Exit
from rtcli.protocol.content_coding import ContentCodingError, ContentDecoder
from rtcli.protocol.sse import ServerSentEvent, SSELimitError, SSEParser

MAX_LINE_BYTES = 1_048_576
MAX_EVENT_BYTES = 4_194_304
MAX_ID_CHARACTERS = 65_536  # more than any server takes in a header
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True)
class Opened:
    """The stream is open. `away_s` is how long it was lost, None the first time."""

    last_event_id: str
    away_s: float | None


@dataclass(frozen=True)
class Lost:
    """The stream ended or could not be opened; the next attempt is in `retry_in_s` seconds."""

    reason: str
    retry_in_s: float
    attempt: int


@dataclass(frozen=True)
class Batch:
    """Events that arrived together, in order, at least one."""

    events: list[ServerSentEvent]


StreamItem = Opened | Lost | Batch


class EventStream:
    """One event stream, followed over any number of connections.

    `token` returns the bearer token for each attempt (None: no Authorization header). `last_event_id` is an
    opaque text that says where to resume; it moves with every batch that was yielded.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        *,
        where: str,
        reconnect: Reconnect,
        token: Callable[[], str | None] | None = None,
        last_event_id: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._url = url
        self._where = where
        self._reconnect = reconnect
        self._token = token or (lambda: None)
        self._clock = clock
        self._lost_at: float | None = None
        self._retry_s: float | None = None  # "reconnection time" of the standard, once the server set it
        self._may_reread_token = False  # a token that is refused after a good connection is read once more
        self.last_event_id = last_event_id

    @property
    def ever_opened(self) -> bool:
        """Whether the stream was open at least once."""
        return self._reconnect.ever_connected

    async def items(self) -> AsyncGenerator[StreamItem]:
        """Yield what happens, in order, until the server answers 204. Raises CliError for any other end."""
        while True:
            failure = None
            try:
                async with aclosing(self._attempt()) as attempt:
                    async for item in attempt:
                        yield item
            except ConnectionLostError as lost:
                failure = lost.failure
            if failure is None:
                return
            now = self._clock()
            self._lost_at = now if self._lost_at is None else self._lost_at
            delay = self._reconnect.delay(failure, now=now)
            yield Lost(failure.reason, delay, self._reconnect.attempt)
            await asyncio.sleep(delay)

    async def _attempt(self) -> AsyncGenerator[StreamItem]:
        try:
            async with aclosing(await self._open()) as response:
                if response.status_code == httpx.codes.NO_CONTENT:
                    return  # "can be told to stop reconnecting using the HTTP 204 No Content response code"
                self._check(response)
                yield self._opened()
                async for batch in self._batches(response):
                    yield batch
        except (httpx.ReadTimeout, TimeoutError) as error:
            idle = self._http.timeout.read or 0.0
            lost = CliError(f"{self._where} sent nothing for {idle:g} s", exit_code=Exit.CANNOT_CONNECT)
            raise ConnectionLostError(
                Failure(f"idle {idle:g} s", lost, retry=True, retry_after_s=self._retry_s)
            ) from error
        except RedirectError as error:
            raise ConnectionLostError(failures.of_redirect(error, self._where)) from error
        except ContentCodingError as error:
            raise ConnectionLostError(failures.of_content(str(error), self._where)) from error
        except (httpx.HTTPError, OSError) as error:
            raise ConnectionLostError(self._with_retry(failures.of_network(error, self._where))) from error
        ended = CliError(f"{self._where} ended the stream", exit_code=Exit.CANNOT_CONNECT)
        raise ConnectionLostError(Failure("ended", ended, retry=True, retry_after_s=self._retry_s))

    async def _open(self) -> httpx.Response:
        """Make the request. What is silent for too long is lost, also if it sends a head byte by byte."""
        timeout = self._http.timeout
        request = self._http.build_request("GET", self._url, headers=self._headers())
        async with asyncio.timeout(None if timeout.read is None else timeout.read + (timeout.connect or 0.0)):
            return await open_answer(self._http, request)

    def _headers(self) -> dict[bytes, bytes]:
        headers = {b"Accept": b"text/event-stream", b"Cache-Control": b"no-store"}
        token = self._token()
        if token is not None:
            headers[b"Authorization"] = f"Bearer {token}".encode()
        if self.last_event_id:
            headers[b"Last-Event-ID"] = self._sendable_id()
        return headers

    def _sendable_id(self) -> bytes:
        """The last event id as a header's value (RFC 9110, section 5.5). Raises ConnectionLostError."""
        value = self.last_event_id.strip(" \t")
        if _CONTROL.search(value) or len(value) > MAX_ID_CHARACTERS:
            wrong = CliError(
                f"{self._where} sent an event id that cannot be sent back",
                hint="follow without resuming: without --state and --last-id",
                exit_code=Exit.SERVER,
            )
            raise ConnectionLostError(Failure("unusable id", wrong, retry=False))
        return value.encode()

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status != httpx.codes.OK:
            failure = failures.of_status(
                status, self._where, what="no event stream", retry_after=response.headers.get("Retry-After")
            )
            if status == httpx.codes.UNAUTHORIZED and self._may_reread_token:
                self._may_reread_token = False
                failure = Failure(failure.reason, failure.error, retry=True, retry_after_s=0.0)
            raise ConnectionLostError(failure)
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            path = urlsplit(str(response.url)).path
            error = CliError(
                f"{self._where}{path} sent {kind or 'no content type'}, not text/event-stream",
                hint="for a plain URL use curl",
                exit_code=Exit.SERVER,
            )
            raise ConnectionLostError(Failure("not an event stream", error, retry=False))

    def _opened(self) -> Opened:
        away_s = None
        if self._lost_at is not None and self._reconnect.ever_connected:
            away_s = self._clock() - self._lost_at
        self._lost_at = None
        self._may_reread_token = True
        self._reconnect.connected()
        return Opened(self.last_event_id, away_s)

    async def _batches(self, response: httpx.Response) -> AsyncIterator[Batch]:
        parser = SSEParser(max_line_bytes=MAX_LINE_BYTES, max_event_bytes=MAX_EVENT_BYTES)
        # The last id of the lost connection is valid until the server sends another.
        parser.last_event_id = self.last_event_id
        decoder = ContentDecoder(response.headers.get("Content-Encoding", ""))
        async for data in response.aiter_raw():
            for piece in decoder.feed(data):
                events = self._parse(parser, piece)
                if events:
                    self.last_event_id = events[-1].id
                    yield Batch(events)

    def _parse(self, parser: SSEParser, data: bytes) -> list[ServerSentEvent]:
        try:
            events = parser.feed(data)
        except SSELimitError as error:
            wrong = CliError(f"{self._where} sent {error}", exit_code=Exit.SERVER)
            raise ConnectionLostError(Failure("too long", wrong, retry=False)) from error
        if parser.retry_ms is not None:
            self._retry_s = parser.retry_ms / 1000
        return events

    def _with_retry(self, failure: Failure) -> Failure:
        return Failure(failure.reason, failure.error, retry=failure.retry, retry_after_s=self._retry_s)
