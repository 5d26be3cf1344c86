"""The realtime server: rooms over WebSocket and event streams over SSE, on one log.

The public API is here. `Realtime` is the server as an object of another application, `realtime_router` its
routes alone, `create_app` a whole server; `Settings` configures each of them. `Hooks` are what the
application decides, and `RedactionFilter` is for its logs. All names are imported when they are first used,
because the command line imports parts of this package and must start fast.
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
        Queued,
        Realtime,
        RealtimeError,
        Receipt,
        UnavailableError,
    )
    from rtcli_server.hooks import (
        ConnectRequest,
        Disconnected,
        Hooks,
        JoinRequest,
        PublishRequest,
        Refuse,
        Rename,
        Rewrite,
    )
    from rtcli_server.redaction import RedactionFilter
    from rtcli_server.settings import Settings

__all__ = [
    "ConflictError",
    "ConnectRequest",
    "Disconnected",
    "Hooks",
    "JoinRequest",
    "NotRunningError",
    "Presence",
    "PublishRequest",
    "Queued",
    "Realtime",
    "RealtimeError",
    "Receipt",
    "RedactionFilter",
    "Refuse",
    "Rename",
    "Rewrite",
    "Settings",
    "UnavailableError",
    "create_app",
    "realtime_router",
]

_MODULES = {
    "ConflictError": "embedding",
    "ConnectRequest": "hooks",
    "Disconnected": "hooks",
    "Hooks": "hooks",
    "JoinRequest": "hooks",
    "NotRunningError": "embedding",
    "Presence": "embedding",
    "PublishRequest": "hooks",
    "Queued": "embedding",
    "Realtime": "embedding",
    "RealtimeError": "embedding",
    "Receipt": "embedding",
    "RedactionFilter": "redaction",
    "Refuse": "hooks",
    "Rename": "hooks",
    "Rewrite": "hooks",
    "Settings": "settings",
    "UnavailableError": "embedding",
    "create_app": "app",
    "realtime_router": "app",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(f"rtcli_server.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
