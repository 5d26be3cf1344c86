"""The library's connection, which tells of each frame, and reads only as fast as they are taken."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override
from websockets.client import ClientProtocol
from websockets.frames import DATA_OPCODES
from websockets.frames import Frame as WireFrame
from websockets.http11 import Request
from websockets.protocol import Event

from rtcli.client.net.handshake import GuardedConnection
from rtcli.client.raw.frames import KINDS, Direction, Frame
from rtcli.protocol.proxies import Proxy

_MAX_WAITING_FRAMES = 64
_MAX_WAITING_BYTES = 1_048_576


@dataclass(frozen=True)
class RawTarget:
    """Where to connect and how. `headers` replace what would be sent under their names."""

    url: str
    where: str  # host:port, for people
    ssl: ssl.SSLContext | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    subprotocols: tuple[str, ...] = ()
    proxy: Proxy | None = None
    connect_timeout_s: float = 10.0
    max_bytes: int = 16_777_216  # of a message


class _Waiting:
    """The frames that nobody has taken yet. When they are many, `pause` is called, and `resume` later."""

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._pause, self._resume = pause, resume
        self._changed = asyncio.Event()
        self.paused = False
        self.ended = False

    def put(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._bytes += len(frame.payload)
        self._changed.set()
        if not self.paused and (len(self._frames) > _MAX_WAITING_FRAMES or self._bytes > _MAX_WAITING_BYTES):
            self.paused = True
            self._pause()

    def end(self) -> None:
        self.ended = True
        self._changed.set()

    async def get(self) -> Frame | None:
        while not self._frames:
            if self.ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        frame = self._frames.popleft()
        self._bytes -= len(frame.payload)
        if self.paused and len(self._frames) <= _MAX_WAITING_FRAMES // 4:
            self.paused = False
            self._resume()
        return frame


class _Protocol(ClientProtocol):
    """Tells of each frame, before it is dealt with, and sends the user's header fields instead of its own."""

    on_frame: Callable[[Frame], None]
    on_request: Callable[[Request], None]
    replaced: frozenset[str]

    @override
    def connect(self) -> Request:
        request = super().connect()
        for name in self.replaced & {key.lower() for key in request.headers}:
            del request.headers[name]
        self.on_request(request)
        return request

    @override
    def recv_frame(self, frame: WireFrame) -> None:
        self.on_frame(Frame(Direction.IN, KINDS[frame.opcode], bytes(frame.data), frame.fin))
        super().recv_frame(frame)

    @override
    def send_frame(self, frame: WireFrame) -> None:
        super().send_frame(frame)
        self.on_frame(Frame(Direction.OUT, KINDS[frame.opcode], bytes(frame.data), frame.fin))


class FrameConnection(GuardedConnection):
    """A connection whose frames are taken from `waiting`; `recv` is not used."""

    def __init__(
        self,
        given: ClientProtocol,
        *,
        target: RawTarget,
        on_request: Callable[[Request], None],
        **options: Any,  # noqa: ANN401 - the library's own
    ) -> None:
        protocol = _Protocol(
            given.uri,
            subprotocols=given.available_subprotocols,
            max_size=target.max_bytes,
            logger=given.logger,
        )
        self.waiting = _Waiting(self._pause_reading, self._resume_reading)
        protocol.on_frame = self.waiting.put
        protocol.on_request = on_request
        protocol.replaced = frozenset(name.lower() for name, _ in target.headers)
        super().__init__(protocol, **options)

    def _pause_reading(self) -> None:
        self.transport.pause_reading()

    def _resume_reading(self) -> None:
        self.transport.resume_reading()

    @override
    def process_event(self, event: Event) -> None:
        if not isinstance(event, WireFrame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.waiting.end()
