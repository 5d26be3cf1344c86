"""A whole server on a loop of its own, for a fuzzer: it notes what it is asked, and what is left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import uvloop
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from rtcli_server.process import runner
from rtcli_server.realtime import RealtimeServer
from rtcli_server.settings import Settings

SECRET = "a secret of the fuzzer, longer than 32 bytes"
MAX_TURNS, QUIET_TURNS = 200, 5  # of the loop, until what is due at once is done


class Request(NamedTuple):
    """What the application was asked."""

    method: str
    path: bytes
    query: bytes
    version: str
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Recorder:
    """Notes what the application is asked, and lets it answer.

    With `patient`, only when a request has come whole. Otherwise an application may answer before it has the
    body, and so before the rest is found to be wrong.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app
        self.patient = True
        self.requests: list[Request] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        messages: list[Message] = []
        while self.patient and (not messages or messages[-1].get("more_body", False)):
            messages.append(await receive())
            if messages[-1]["type"] == "http.disconnect":
                return
        body = b"".join(message.get("body", b"") for message in messages)
        self.requests.append(
            Request(scope["method"], scope["raw_path"], scope["query_string"], scope["http_version"],
                    tuple(scope["headers"]), body)
        )  # fmt: skip

        async def receive_again() -> Message:
            return messages.pop(0) if messages else await receive()

        await self._app(scope, receive_again, send)


class Complaints(logging.Handler):
    """What is logged as an error, or as the end of something that should not have ended."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(logging.Formatter().format(record))

    def from_loop(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Note what a callback or a task raised."""
        self.found.append(f"{context.get('message')}: {context.get('exception')!r}")


class Server:
    """A server on a loop of its own, without a listener: connections are made by the inputs."""

    def __init__(self, *, fast: bool) -> None:
        self.loop = uvloop.new_event_loop()
        self.complaints = Complaints()
        logging.getLogger().addHandler(self.complaints)
        self.loop.set_exception_handler(self.complaints.from_loop)
        self.loop.run_until_complete(self._open(fast=fast))

    async def _open(self, *, fast: bool) -> None:
        settings = Settings(
            secrets=(SECRET,),
            fast_websockets=fast,
            user_connections=None,
            address_connections=None,
            node_connections=1_000,
            rate_limit_per_s=None,
            presence_grace_s=0,
            history_total_bytes=1_000_000,
        )
        self.realtime = RealtimeServer(settings)
        await self.realtime.start()
        self.config = runner._config(settings, self.realtime)
        self.config.load()
        self.recorder = Recorder(self.config.loaded_app)
        self.config.loaded_app = self.recorder
        self.state = ServerState()

    def close(self) -> None:
        """Stop it, and forget its loop."""
        self.loop.run_until_complete(self.realtime.stop())
        logging.getLogger().removeHandler(self.complaints)
        self.loop.close()

    def protocol(self) -> asyncio.Protocol:
        """A protocol for one connection."""
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(config=self.config, server_state=self.state, app_state={}, _loop=self.loop)

    async def settle(self, done: Callable[[], bool]) -> None:
        """Let the loop turn until it is so for some turns in a row: then nothing is due at once."""
        quiet = 0
        for _ in range(MAX_TURNS):
            quiet = quiet + 1 if done() else 0
            if quiet > QUIET_TURNS:
                return
            await asyncio.sleep(0)

    async def check_nothing_is_left(self) -> None:
        """Fail when anything of a connection that has ended is left, or an error was logged."""
        hub = self.realtime.hub
        await self.settle(lambda: not (self.state.tasks or self.state.connections or hub.clients))
        assert not self.state.tasks, f"tasks are left: {self.state.tasks}"
        assert not self.state.connections, "a connection is left"
        assert not hub.clients, "a client is left"
        self.check_no_complaints()

    def check_no_complaints(self) -> None:
        """Fail when an error was logged, or raised on the loop."""
        found, self.complaints.found = self.complaints.found, []
        assert not found, "\n".join(found)
