"""Where the token of each connection comes from: a function, or a coroutine function."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

from rtcli.client.secret_files import check_token

TokenFunction = Callable[[], str | Awaitable[str | None] | None]


async def current_token(function: TokenFunction) -> str | None:
    """Ask for the token of the next connection; None: without one.

    Raises what the function raises, and CliError (2) for what no header can have: to send that again and
    again would not help.
    """
    given = function()
    token = await given if inspect.isawaitable(given) else given
    return None if token is None else check_token(token, "the token that was given")
