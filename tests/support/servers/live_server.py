"""A real server for tests: on uvloop in a thread of its own, reached over real sockets."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import uvloop

from rtcli.protocol.tokens import RoomGrant, create_token
from rtcli_server.process.runner import ServerHandle, running_server
from rtcli_server.realtime import RealtimeServer
from rtcli_server.settings import Settings

SECRET = "a secret for tests, longer than 32 bytes"
T = TypeVar("T")


def token(
    sub: str = "7", *, ttl_s: float = 3_600.0, rooms: list[RoomGrant] | None = None, **more: str
) -> str:
    """A token that the live servers take. `more`: name, scope."""
    return create_token(SECRET, sub=sub, now=time.time(), ttl_s=ttl_s, rooms=rooms, **more)


class LiveServer:
    """What a test knows of the server, and a way to look inside on its own thread."""

    def __init__(self, handle: ServerHandle, loop: asyncio.AbstractEventLoop, stop: threading.Event) -> None:
        self.handle = handle
        self.stop_soon = stop.set
        self.url = handle.url
        self.port = handle.port
        self.thread_id = threading.get_native_id()  # of the loop
        self._loop = loop

    def ask(self, question: Callable[[RealtimeServer], T]) -> T:
        """Call `question(realtime)` on the server's loop and return its answer."""

        async def answer() -> T:
            return question(self.handle.realtime)

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(10)

    def wait_until(self, question: Callable[[RealtimeServer], bool], *, timeout_s: float = 10.0) -> None:
        """Ask until it is true."""
        deadline = time.monotonic() + timeout_s
        while not self.ask(question):
            assert time.monotonic() < deadline, "it did not become true"
            time.sleep(0.01)


@contextmanager
def live_server(**settings: object) -> Iterator[LiveServer]:
    """Run a server in a thread; it is drained at the end."""
    chosen = Settings.model_validate(
        {"port": 0, "secrets": (SECRET,), "user_connections": None, "address_connections": None, **settings}
    )
    started: list[LiveServer] = []
    failed: list[BaseException] = []
    ready, stop = threading.Event(), threading.Event()

    async def main() -> None:
        async with running_server(chosen) as handle:
            started.append(LiveServer(handle, asyncio.get_running_loop(), stop))
            ready.set()
            await asyncio.to_thread(stop.wait)

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(main())
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(10)
    if failed:
        raise failed[0]
    try:
        yield started[0]
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive(), "the server did not end"
    if failed:
        raise failed[0]


TRANSPORTS = {"picows": True, "portable": False}
