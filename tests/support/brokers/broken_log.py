"""A log that fails as a test says, inside of a server that runs."""

from __future__ import annotations

import asyncio
from typing import Any

from rtcli_server.broker import BrokerUnavailableError, HistoryPage, Published
from rtcli_server.realtime import RealtimeServer


def break_publishing(
    realtime: RealtimeServer, *, maybe_published: bool, at_once: bool, times: int | None = None
) -> None:
    """Let each publish fail, or the next `times`, at once or a moment later."""
    broker: Any = realtime.broker
    publish_really, failed = broker.publish, 0

    def publish(*arguments: object, **more: object) -> asyncio.Future[Published]:
        nonlocal failed
        failed += 1
        if times is not None and failed > times:
            done: asyncio.Future[Published] = publish_really(*arguments, **more)
            return done
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Published] = loop.create_future()
        error = BrokerUnavailableError("away", maybe_published=maybe_published)
        if at_once:
            future.set_exception(error)
        else:
            loop.call_later(0.01, future.set_exception, error)
        return future

    broker.publish = publish


def break_reads(realtime: RealtimeServer, *outcomes: Exception | None) -> None:
    """Let the next reads of the log fail in these ways; None: that one does not."""
    broker: Any = realtime.broker
    read, left = broker.history, list(outcomes)

    async def history(*arguments: object, **more: object) -> HistoryPage:
        error = left.pop(0) if left else None
        if error is not None:
            raise error
        page: HistoryPage = await read(*arguments, **more)
        return page

    broker.history = history
