"""Replies of one loop turn, joined into one write per connection."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Flushable(Protocol):
    """Something that holds replies back until the end of the loop turn."""

    def flush(self) -> None:
        """Write the replies."""
        ...


class ReplyFlusher:
    """Calls `flush` of everything that was added, in the next loop turn: one callback for all."""

    def __init__(self) -> None:
        self._waiting: list[Flushable] = []

    def add(self, item: Flushable) -> None:
        """Flush `item` soon. It may be added twice in one turn."""
        self._waiting.append(item)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        waiting, self._waiting = self._waiting, []
        for item in waiting:
            item.flush()
