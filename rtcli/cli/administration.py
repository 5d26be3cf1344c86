"""From the options of a command to an administrator of the server that they name."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rtcli.apps.administration import ANSWER_TIMEOUT_S, Administrator
from rtcli.cli import signals
from rtcli.cli.connection import ConnectionOptions, make_connection
from rtcli.cli.limits import Limit
from rtcli.client.backoff import Reconnect
from rtcli.client.connection import Connection
from rtcli.client.failures import Failure
from rtcli.client.http import make_http
from rtcli.client.publishing import Server
from rtcli.terminal.console import console
from rtcli.units import format_duration

T = TypeVar("T")


def administer(
    given: ConnectionOptions, timeout_s: float | None, act: Callable[[Administrator], Awaitable[T]]
) -> T:
    """Do something on the server, as an administrator, and return what came of it. Raises CliError."""
    connection = make_connection(given, scope="admin")
    done: list[T] = []

    async def run() -> int:
        done.append(await _with_administrator(connection, given.wait, act))
        return 0

    with connection.explaining_refusal():
        signals.run(Limit(timeout=timeout_s).apply(run()))
    return done[0]


async def _with_administrator(
    connection: Connection, wait_s: float | None, act: Callable[[Administrator], Awaitable[T]]
) -> T:
    endpoint = connection.endpoint
    http = make_http(
        endpoint, tls=connection.tls, headers=connection.headers, read_timeout_s=ANSWER_TIMEOUT_S
    )
    async with http:
        server = Server(http, endpoint.base, endpoint.authority, connection.token)
        reconnect = Reconnect(random.Random(), started=time.monotonic(), wait_s=wait_s)  # noqa: S311 - jitter
        return await act(Administrator(server, reconnect, _report_retry))


def _report_retry(failure: Failure, delay_s: float) -> None:
    console.status(f"{failure.reason}, trying again in {format_duration(delay_s)}")
