"""Where the token of each connection comes from: a function, or a coroutine function."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

TokenFunction = Callable[[], str | Awaitable[str | None] | None]


async def current_token(function: TokenFunction) -> str | None:
    """Ask for the token of the next connection; None: without one. Raises what the function raises."""
    token = function()
    return await token if inspect.isawaitable(token) else token
