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
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import httpx

from rtcli.client import failures
from rtcli.client.backoff import Reconnect
from rtcli.client.credentials import TokenFunction, current_token
from rtcli.client.events import Lost
from rtcli.client.failures import ConnectionLostError, Failure
from rtcli.client.net.answers import RedirectError, open_answer, read_beginning
from rtcli.client.net.explanation import MAX_BYTES, explanation
from rtcli.errors import CliError, Exit
from rtcli.protocol.content_coding import ACCEPTED, ContentCodingError, ContentDecoder
from rtcli.protocol.sse import ServerSentEvent, SSELimitError, SSEParser

MAX_LINE_BYTES = 1_048_576
MAX_EVENT_BYTES = 4_194_304
MAX_ID_CHARACTERS = 65_536  # more than any server takes in a header
_EXPLANATION_S = 2.0  # as long as it is waited for what an error says
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True)
class Opened:
    """The stream is open. `away_s` is how long it was lost, None the first time."""

    last_event_id: str
    away_s: float | None


@dataclass(frozen=True)
class Batch:
    """Events that arrived together, in order, at least one."""

    events: list[ServerSentEvent]


@dataclass(frozen=True)
class StreamRequest:
    """What is asked for: a stream that is followed, or the answer to a request that is made once.

    With `once`, an orderly end is the end. `foreign`: the server is not one of rtcli.
    """

    method: str = "GET"
    body: bytes | None = None
    content_type: str = "application/json"
    once: bool = False
    foreign: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether it may be made again after a loss: a request with a body may do something each time."""
        return self.method == "GET" and self.body is None

    @property
    def ends(self) -> bool:
        """Whether an orderly end is the end, and not a loss."""
        return self.once or not self.repeatable


FOLLOW = StreamRequest()
StreamItem = Opened | Lost | Batch


class StreamFollower:
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
        token: TokenFunction = lambda: None,
        last_event_id: str = "",
        request: StreamRequest = FOLLOW,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._url = url
        self._where = where
        self._reconnect = reconnect
        self._token = token
        self._request = request
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
        """Yield what happens, in order, until the server answers 204, or ends an answer that has an end.

        Raises CliError for any other end.
        """
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
                await self._check(response)
                yield self._opened()
                async for batch in self._batches(response):
                    yield batch
        except (httpx.ReadTimeout, TimeoutError) as error:
            idle = self._http.timeout.read or 0.0
            lost = CliError(f"{self._where} sent nothing for {idle:g} s", exit_code=Exit.CANNOT_CONNECT)
            silent = Failure(f"idle {idle:g} s", lost, retry=True, retry_after_s=self._retry_s)
            raise ConnectionLostError(self._unless_done(silent)) from error
        except RedirectError as error:
            raise ConnectionLostError(failures.of_redirect(error, self._where)) from error
        except ContentCodingError as error:
            raise ConnectionLostError(failures.of_content(str(error), self._where)) from error
        except (httpx.HTTPError, OSError) as error:
            failure = self._with_retry(failures.of_network(error, self._where))
            sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
            raise ConnectionLostError(self._unless_done(failure) if sent else failure) from error
        if self._request.ends:
            return
        ended = CliError(f"{self._where} ended the stream", exit_code=Exit.CANNOT_CONNECT)
        raise ConnectionLostError(Failure("ended", ended, retry=True, retry_after_s=self._retry_s))

    async def _open(self) -> httpx.Response:
        """Make the request. What is silent for too long is lost, also if it sends a head byte by byte."""
        timeout = self._http.timeout
        request = self._http.build_request(
            self._request.method, self._url, headers=await self._headers(), content=self._request.body
        )
        async with asyncio.timeout(None if timeout.read is None else timeout.read + (timeout.connect or 0.0)):
            return await open_answer(self._http, request)

    async def _headers(self) -> dict[bytes, bytes]:
        headers = {b"Cache-Control": b"no-store"}
        given = self._http.headers
        if given.get("accept") == "*/*":  # what the library would send
            headers[b"Accept"] = b"text/event-stream"
        if (
            given.get("accept-encoding") == ACCEPTED
        ):  # a compressed stream may come late; it is read if it comes
            headers[b"Accept-Encoding"] = b"identity"
        if self._request.body is not None and "content-type" not in given:
            headers[b"Content-Type"] = self._request.content_type.encode()
        token = await current_token(self._token)
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

    async def _check(self, response: httpx.Response) -> None:
        """Raise ConnectionLostError for an answer that is no event stream."""
        if response.status_code != httpx.codes.OK:
            raise ConnectionLostError(await self._refused(response))
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            path = urlsplit(str(response.url)).path
            hint = "for a plain URL use curl"
            if self._request.body is not None:
                hint = 'does the request ask for a stream ("stream": true)?'
            error = CliError(
                f"{self._where}{path} sent {kind or 'no content type'}, not text/event-stream",
                hint=hint,
                exit_code=Exit.SERVER,
            )
            raise ConnectionLostError(Failure("not an event stream", error, retry=False))

    async def _refused(self, response: httpx.Response) -> Failure:
        status, retry_after = response.status_code, response.headers.get("Retry-After")
        what = "no event stream"
        if self._request.foreign:
            body = await read_beginning(response, max_bytes=MAX_BYTES, timeout_s=_EXPLANATION_S)
            said = explanation(response.headers.get("Content-Type", ""), body)
            failure = failures.of_foreign_status(
                status, self._where, what=what, said=said, retry_after=retry_after
            )
        else:
            failure = failures.of_status(status, self._where, what=what, retry_after=retry_after)
        if status == httpx.codes.UNAUTHORIZED and self._may_reread_token:
            self._may_reread_token = False
            failure = replace(failure, retry=True, retry_after_s=0.0)
        return failure

    def _opened(self) -> Opened:
        away_s = None
        if self._lost_at is not None and self._reconnect.ever_connected:
            away_s = self._clock() - self._lost_at
        self._lost_at = None
        self._may_reread_token = True
        self._reconnect.opened(self._clock())
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

    def _unless_done(self, failure: Failure) -> Failure:
        """The failure, final if the request that was sent must not be made twice."""
        if self._request.repeatable:
            return failure
        message = failure.error.message
        if failure.reason == "lost":  # only the library has words for it
            message = f"{self._where} broke off before the end of its answer"
        hint = "it is not asked again by itself: each request may do something there"
        return replace(
            failure, error=CliError(message, hint=hint, exit_code=Exit.CANNOT_CONNECT), retry=False
        )

    def _with_retry(self, failure: Failure) -> Failure:
        return Failure(failure.reason, failure.error, retry=failure.retry, retry_after_s=self._retry_s)
