"""Replies of one loop turn, joined into one write per connection."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from rtcli_server.timing.containment import contained

_log = logging.getLogger(__name__)


class Flushable(Protocol):
    """Something that holds replies back until the end of the loop turn."""

    def flush(self) -> None:
        """Write the replies."""
        ...

    def abort(self) -> None:
        """Drop the connection: its replies could not be written."""
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
            try:
                item.flush()
            except Exception:  # noqa: BLE001 - the replies of all others have to be written
                _log.exception("replies could not be written; the connection is cut")
                with contained(_log, "cutting a connection failed"):
                    item.abort()
