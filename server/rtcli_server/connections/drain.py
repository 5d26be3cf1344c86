"""The orderly end: tell clients when to come back, close in batches, cut off the rest (protocol.md, 3 and 4).

Each client gets its own delay, so that they do not all come back at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable

from rtcli.protocol.codes import CloseCode
from rtcli_server.connections.hub import Hub, close_or_cut

PAUSE_S = 0.02  # between batches, for the loop to write them
MIN_BATCH = 100


def batch_size(count: int, spread_s: float) -> int:
    """Number of clients to close at once, so that all of `count` are closed within `spread_s` (seconds)."""
    return max(MIN_BATCH, math.ceil(count * PAUSE_S / spread_s))


async def drain(hub: Hub, *, timeout_s: float, retry_after_ms: Callable[[], int]) -> int:
    """Close all clients within `timeout_s` (seconds); return the number of those that had to be cut off.

    A third of the time is for sending, a third for the answers; the rest is left to the caller.
    """
    hub.start_draining()
    clients = list(hub.clients.values())
    size = batch_size(len(clients), timeout_s / 3)
    for start in range(0, len(clients), size):
        for client in clients[start : start + size]:
            close_or_cut(client, CloseCode.SERVICE_RESTART, "service_restart", retry_after_ms())
        await asyncio.sleep(PAUSE_S)
    if hub.clients:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(hub.emptied.wait(), timeout_s / 3)
    return hub.abort_all()
