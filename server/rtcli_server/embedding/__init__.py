"""The server as an object in somebody else's application (docs/embedding.md).

From outside: `Realtime`, and the errors of its methods.
"""

from __future__ import annotations

from rtcli_server.embedding.errors import ConflictError, NotRunningError, RealtimeError, UnavailableError
from rtcli_server.embedding.realtime import Presence, Realtime

__all__ = ["ConflictError", "NotRunningError", "Presence", "Realtime", "RealtimeError", "UnavailableError"]
