"""Keeps picows' read buffers small: a worker has thousands of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from typing_extensions import override

# picows doubles its buffer for good whenever a read has nearly filled it, as each burst does. So reads leave
# room for the rest of a frame; the buffer grows only where frames are larger than that.
READ_BUFFER = 5_120
_READ_AT_ONCE = 3_584


class SmallReadProtocol(asyncio.BufferedProtocol):
    """A proxy for picows' protocol that offers only a part of its buffer for each read."""

    __slots__ = ("_get_buffer", "_inner", "buffer_updated")

    def __init__(self, inner: asyncio.BufferedProtocol) -> None:
        self._inner = inner
        self._get_buffer = cast("Callable[[int], memoryview]", inner.get_buffer)
        self.buffer_updated = inner.buffer_updated  # type: ignore[method-assign] # no call in between

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        return self._get_buffer(sizehint)[:_READ_AT_ONCE]

    @override
    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    @override
    def pause_writing(self) -> None:
        self._inner.pause_writing()

    @override
    def resume_writing(self) -> None:
        self._inner.resume_writing()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)
