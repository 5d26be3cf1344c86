"""From the options of a command to an administrator of the server that they name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rtcli.apps.administration import Administrator
from rtcli.cli import signals
from rtcli.cli.connection import ConnectionOptions, make_connection
from rtcli.cli.http_requests import open_server, report_retry
from rtcli.cli.limits import Limit


def administer(
    given: ConnectionOptions, timeout_s: float | None, act: Callable[[Administrator], Awaitable[None]]
) -> int:
    """Do something on the server, as an administrator, and return the exit code. Raises CliError.

    It goes on when nobody reads stdout any more: what matters is done on the server.
    """
    connection = make_connection(given, scope="admin")

    async def run() -> int:
        async with open_server(connection, given.wait) as (server, reconnect):
            await act(Administrator(server, reconnect, report_retry))
        return 0

    with connection.explaining_refusal():
        return signals.run(Limit(timeout=timeout_s).apply(run()), needs_stdout=False)
