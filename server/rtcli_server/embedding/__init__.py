"""The server as an object in somebody else's application (docs/embedding.md).

From outside: `Realtime`, what its methods return, and their errors.
"""

from __future__ import annotations

from rtcli_server.api.publishing import Receipt
from rtcli_server.embedding.errors import ConflictError, NotRunningError, RealtimeError, UnavailableError
from rtcli_server.embedding.realtime import Presence, Realtime
from rtcli_server.realtime.audience import Queued

__all__ = [
    "ConflictError",
    "NotRunningError",
    "Presence",
    "Queued",
    "Realtime",
    "RealtimeError",
    "Receipt",
    "UnavailableError",
]
