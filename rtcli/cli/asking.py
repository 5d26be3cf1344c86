"""From the options of a command to the server that they name, which is asked over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rtcli.apps.administration import Administrator
from rtcli.apps.asking import Asker
from rtcli.apps.reading import Reader
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
    return _ask(given, timeout_s, lambda asker: act(Administrator(asker)), scope="admin", needs_stdout=False)


def read(given: ConnectionOptions, timeout_s: float | None, act: Callable[[Reader], Awaitable[None]]) -> int:
    """Read something from the server, and return the exit code. Raises CliError."""
    return _ask(given, timeout_s, lambda asker: act(Reader(asker)), scope=None, needs_stdout=True)


def _ask(
    given: ConnectionOptions,
    timeout_s: float | None,
    act: Callable[[Asker], Awaitable[None]],
    *,
    scope: str | None,
    needs_stdout: bool,
) -> int:
    connection = make_connection(given, scope=scope)

    async def run() -> int:
        async with open_server(connection, given.wait) as (server, reconnect):
            await act(Asker(server, reconnect, report_retry))
        return 0

    with connection.explaining_refusal():
        return signals.run(Limit(timeout=timeout_s).apply(run()), needs_stdout=needs_stdout)
