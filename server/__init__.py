"""The realtime server: rooms over WebSocket and event streams over SSE, on one log.

`create_app` makes a whole server, `realtime_router` the part for inside another FastAPI application,
`Settings` configures both. They are imported when they are first used: clients need `server.protocol` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.app import create_app, realtime_router
    from server.settings import Settings

__all__ = ["Settings", "create_app", "realtime_router"]


def __getattr__(name: str) -> object:
    if name in {"create_app", "realtime_router"}:
        from server import app  # noqa: PLC0415 - see above

        return getattr(app, name)
    if name == "Settings":
        from server.settings import Settings  # noqa: PLC0415 - see above

        return Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
