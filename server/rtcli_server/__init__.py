"""The realtime server: rooms over WebSocket and event streams over SSE, on one log.

The public API is here: `create_app` makes a whole server, `realtime_router` a part of another FastAPI
application, and `Settings` configures both; `RedactionFilter` is for the logs of that application. They are
imported when they are first used, because the command line imports parts of this package and must start fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtcli_server.app import create_app, realtime_router
    from rtcli_server.redaction import RedactionFilter
    from rtcli_server.settings import Settings

__all__ = ["RedactionFilter", "Settings", "create_app", "realtime_router"]

_MODULES = {
    "RedactionFilter": "redaction",
    "Settings": "settings",
    "create_app": "app",
    "realtime_router": "app",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(f"rtcli_server.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
