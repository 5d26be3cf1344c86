"""A program's event stream: of any server, followed over any number of connections."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from typing import Self
from urllib.parse import urlencode

from typing_extensions import override

from rtcli.client import sse
from rtcli.client.backoff import Reconnect
from rtcli.client.credentials import TokenFunction
from rtcli.client.endpoint import Endpoint
from rtcli.client.events import Gap
from rtcli.client.http import make_http
from rtcli.library.access import Headers, make_access
from rtcli.library.arguments import checked_buffer, room_name
from rtcli.library.distribution import Distribution
from rtcli.library.errors import ClosedError, UsageError
from rtcli.library.feeds import Feed, Updates
from rtcli.library.inbox import Inbox
from rtcli.library.lifetime import Block, Lifetime
from rtcli.library.stream_reading import (
    Opened,
    StreamEvent,
    StreamReading,
    StreamUpdate,
    channel_of,
    of_other_servers,
)
from rtcli.protocol.paths import EVENT_STREAM_PATH

_RTCLI_IDLE_TIMEOUT_S = 90.0  # three heartbeats of the server's default
_STREAM = "stream"  # the one channel


class EventStream(Block):
    """The events of a stream, each once and in order. `rtcli.events` makes it.

        async with rtcli.events("https://example.com/stream") as stream:
            async for event in stream:
                print(event.event, event.data)

    It follows the stream of any server, comes back when it is lost, and resumes after the last event. It ends
    when the server says so: with 204, or `[DONE]`. The answer to another `method` than GET, to a request with
    `content` (JSON, unless a header says else), or to one that is made `once`, ends where it ends.

    An address without a path, or with that of such a stream, is an rtcli server's: `rooms` are followed
    there, and what is missing before an event is its `gap`.

    `token` is as for `rtcli.connect`; other servers get one only if it is given. `last_event_id` is the `id`
    of an event after which to begin. Silence of `idle_timeout_s` counts as a loss. `buffer` is how many
    events may wait: then nothing more is read until some are taken. `proxy` is as for `rtcli.connect`.

    Raises UsageError. Entering the block raises CannotConnectError, RefusedError or UnexpectedAnswerError.
    """

    def __init__(
        self,
        url: str,
        *,
        rooms: Iterable[str] = (),
        token: str | TokenFunction | None = None,
        method: str | None = None,
        content: str | bytes | None = None,
        once: bool = False,
        headers: Headers = (),
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        last_event_id: str = "",
        wait_s: float = 0.0,
        idle_timeout_s: float | None = None,
        buffer: int = 1000,
    ) -> None:
        self._access = make_access(
            url, token=token, headers=headers, ssl_context=ssl_context, proxy=proxy, of_stream=True
        )
        endpoint = self._access.endpoint
        self.is_rtcli = endpoint.is_rtcli_stream
        self.url = _address(endpoint, list(rooms))
        self._request = _request(method, content, once=once, is_rtcli=self.is_rtcli)
        if any(character in last_event_id for character in "\r\n\0"):
            raise UsageError("last_event_id= cannot have a line break or NUL in it", code="usage")
        self._last_event_id = last_event_id
        self._idle_s = idle_timeout_s or (_RTCLI_IDLE_TIMEOUT_S if self.is_rtcli else None)
        self._reconnect = Reconnect(random.Random(), started=time.monotonic(), wait_s=wait_s)  # noqa: S311 - jitter
        self._buffer = checked_buffer(buffer)
        self._may_deliver = asyncio.Event()
        self._is_read = False  # before somebody reads, nothing is delivered
        self._distribution: Distribution[StreamUpdate] = Distribution(
            channel_of=lambda _update: _STREAM,
            is_ephemeral=lambda _update: False,
            hold=lambda _channel: self._may_deliver.clear(),
            resume=lambda _channel: self._may_deliver.set(),
        )
        self._own: Inbox[StreamUpdate] | None = None  # for those who iterate over the stream itself
        self._feed: Feed[StreamEvent] | None = None
        self._lifetime = Lifetime(
            self._follow, explain=self._access.explained, on_over=self._distribution.end
        )

    # -- beginning and end ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect, without waiting for it."""
        self._lifetime.start()
        if self._own is None:
            self._own = self._distribution.add(self._buffer, wants=_is_for_programs, is_claimed=False)

    @override
    async def ready(self) -> None:
        """Wait until the stream is open; raises why it cannot be opened."""
        self.start()
        await self._lifetime.ready()

    @override
    async def close(self) -> None:
        """Close the connection. Loops end when they have what is there already."""
        await self._lifetime.close()

    # -- what it reads -------------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """How many events are here already, at most: so many steps need not wait."""
        return 0 if self._own is None else len(self._own)

    def updates(self) -> Updates[StreamUpdate]:
        """All that happens from now on: events, gaps, losses and returns. Each reader gets all of it."""
        inbox = self._distribution.add(self._buffer, wants=lambda _update: True)
        self._begin()
        updates: Updates[StreamUpdate] = Updates(inbox)
        self._distribution.forget_with(updates, inbox)
        return updates

    def __aiter__(self) -> Self:
        self._own_feed()
        return self

    async def __anext__(self) -> StreamEvent:
        return await anext(self._own_feed())

    def _own_feed(self) -> Feed[StreamEvent]:
        if not self._lifetime.is_begun:
            raise ClosedError(
                "this stream was not opened", hint="async with rtcli.events(...) as stream", code="closed"
            )
        if self._own is None or not self._distribution.claim(self._own):
            self._own = self._distribution.add(self._buffer, wants=_is_for_programs)
            self._feed = None
        if self._feed is None:
            self._feed = Feed(self._own, channel_of)
            self._begin()
        return self._feed

    def _begin(self) -> None:
        if not self._is_read:
            self._is_read = True
            self._may_deliver.set()

    # -- inside --------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        access = self._access
        http = make_http(
            access.endpoint,
            context=access.context,
            headers=access.headers,
            proxy=access.proxy,
            read_timeout_s=self._idle_s,
        )
        async with http:
            follower = sse.StreamFollower(
                http,
                self.url,
                where=access.endpoint.authority,
                reconnect=self._reconnect,
                token=access.token,
                request=self._request,
                last_event_id=self._last_event_id,
            )
            reading = StreamReading(self._last_event_id)
            async with aclosing(follower.items()) as items:
                async for item in items:
                    for update in self._meaning(item, reading):
                        await self._deliver(update)
                        if not self.is_rtcli and isinstance(update, StreamEvent) and update.about_stream:
                            return

    def _meaning(self, item: sse.StreamItem, reading: StreamReading) -> Iterator[StreamUpdate]:
        match item:
            case sse.Opened():
                self._lifetime.opened()
                reading.opened(item.last_event_id, item.away_s)
                if not self.is_rtcli:
                    yield Opened(item.last_event_id, bool(item.last_event_id), item.away_s, 0)
            case sse.Batch():
                for event in item.events:
                    if self.is_rtcli:
                        yield from reading.read(event)
                    else:
                        yield of_other_servers(event)
            case _:
                yield item

    async def _deliver(self, update: StreamUpdate) -> None:
        """Give it to all readers, as soon as there is one and none is full."""
        await self._may_deliver.wait()
        self._distribution.deliver(update)


def _is_for_programs(update: StreamUpdate) -> bool:
    return isinstance(update, Gap) or (isinstance(update, StreamEvent) and not update.about_stream)


def _request(
    method: str | None, content: str | bytes | None, *, once: bool, is_rtcli: bool
) -> sse.StreamRequest:
    """What is asked for. Raises UsageError."""
    body = content.encode() if isinstance(content, str) else content
    method = (method or ("GET" if body is None else "POST")).upper()
    if not (method.isascii() and method.isalpha()):
        raise UsageError(f"{method!r} is no method", hint="method='POST'", code="usage")
    request = sse.StreamRequest(method=method, body=body, once=once, foreign=not is_rtcli)
    if is_rtcli and not request.repeatable:
        raise UsageError("method= and content= are for other servers than those of rtcli", code="usage")
    return request


def _address(endpoint: Endpoint, rooms: list[str]) -> str:
    """The URL of the stream of these rooms. Raises UsageError."""
    if rooms and not endpoint.is_rtcli_stream:
        raise UsageError(
            "rooms are for the streams of rtcli servers",
            hint="put what that endpoint wants into its URL",
            code="usage",
        )
    address = endpoint.http_url(EVENT_STREAM_PATH)
    query = urlencode([("room", room_name(room)) for room in rooms])
    return f"{address}{'&' if '?' in address else '?'}{query}" if query else address


events = EventStream
