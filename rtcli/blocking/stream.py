"""`rtcli.EventStream` for programs without `async`."""

from __future__ import annotations

import ssl
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rtcli.blocking.loop_thread import LoopThread
from rtcli.blocking.reader import Reader
from rtcli.client.credentials import TokenFunction
from rtcli.library import stream as library
from rtcli.library.access import Headers
from rtcli.library.stream_reading import StreamEvent, StreamUpdate


class EventStream(Reader[StreamEvent]):
    """The events of a stream. `rtcli.blocking.events` makes it, and waits until it is open.

        with rtcli.blocking.events("https://example.com/stream") as stream:
            for event in stream:
                print(event.event, event.data)

    Arguments and errors are those of `rtcli.events`. Without `with`, call `close`.
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
        self._stream = library.EventStream(
            url,
            rooms=rooms,
            token=token,
            method=method,
            content=content,
            once=once,
            headers=headers,
            ssl_context=ssl_context,
            proxy=proxy,
            last_event_id=last_event_id,
            wait_s=wait_s,
            idle_timeout_s=idle_timeout_s,
            buffer=buffer,
        )
        super().__init__(LoopThread(), self._stream)
        self._stop = weakref.finalize(self, self._thread.stop)
        try:
            self._thread.wait(self._stream.ready())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        if self._stop.alive:
            try:
                self._thread.wait(self._stream.close())
            finally:
                self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def updates(self) -> Reader[StreamUpdate]:
        """All that happens from now on: events, gaps, losses and returns. Each reader gets all of it."""
        return Reader(self._thread, self._thread.call(self._stream.updates))


events = EventStream
