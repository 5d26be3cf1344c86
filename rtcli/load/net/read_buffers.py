"""Keeps picows' read buffers small, of which a crowd has thousands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

# picows doubles its buffer for good whenever a read has nearly filled it, as each burst does. So reads leave
# room for the rest of a frame; the buffer grows only where frames are larger than that.
READ_BUFFER = 5_120
_READ_AT_ONCE = 3_584


class SmallReadProtocol(asyncio.BufferedProtocol):
    """Stands before picows' protocol, and offers at most a part of its buffer for each read."""

    __slots__ = ("_get_buffer", "_inner", "buffer_updated")

    def __init__(self, inner: asyncio.BufferedProtocol) -> None:
        self._inner = inner
        self._get_buffer = cast("Callable[[int], memoryview]", inner.get_buffer)
        self.buffer_updated = inner.buffer_updated  # type: ignore[method-assign] # no call in between

    def get_buffer(self, sizehint: int) -> memoryview:
        """See asyncio.BufferedProtocol."""
        return self._get_buffer(sizehint)[:_READ_AT_ONCE]

    def eof_received(self) -> bool | None:
        """See asyncio.BufferedProtocol."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """See asyncio.BufferedProtocol."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio.BufferedProtocol."""
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.BufferedProtocol."""
        self._inner.connection_lost(exc)
