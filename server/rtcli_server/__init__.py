"""The realtime server: rooms over WebSocket and event streams over SSE, on one log.

The public API is here: `create_app` makes a whole server, `realtime_router` a part of another FastAPI
application, and `Settings` configures both. They are imported when they are first used, because the command
line imports parts of this package and must start fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtcli_server.app import create_app, realtime_router
    from rtcli_server.settings import Settings

__all__ = ["Settings", "create_app", "realtime_router"]


def __getattr__(name: str) -> object:
    if name in {"create_app", "realtime_router"}:
        from rtcli_server import app  # noqa: PLC0415 - see above

        return getattr(app, name)
    if name == "Settings":
        from rtcli_server.settings import Settings  # noqa: PLC0415 - see above

        return Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
