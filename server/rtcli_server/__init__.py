"""The realtime server: rooms over WebSocket and event streams over SSE, on one log.

The public API is here: `Realtime` is the server as an object of another application, `realtime_router` its
routes alone, `create_app` a whole server; `Settings` configures each of them, and `RedactionFilter` is for
the logs of that application. They are imported when they are first used, because the command line imports
parts of this package and must start fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtcli_server.app import create_app, realtime_router
    from rtcli_server.embedding import (
        ConflictError,
        NotRunningError,
        Presence,
        Realtime,
        RealtimeError,
        UnavailableError,
    )
    from rtcli_server.redaction import RedactionFilter
    from rtcli_server.settings import Settings

__all__ = [
    "ConflictError",
    "NotRunningError",
    "Presence",
    "Realtime",
    "RealtimeError",
    "RedactionFilter",
    "Settings",
    "UnavailableError",
    "create_app",
    "realtime_router",
]

_MODULES = {
    "ConflictError": "embedding",
    "NotRunningError": "embedding",
    "Presence": "embedding",
    "Realtime": "embedding",
    "RealtimeError": "embedding",
    "RedactionFilter": "redaction",
    "Settings": "settings",
    "UnavailableError": "embedding",
    "create_app": "app",
    "realtime_router": "app",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(f"rtcli_server.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
