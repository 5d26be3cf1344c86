"""From the options of a command to a server that is asked over HTTP, and how trouble with it is told."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rtcli.client.backoff import Reconnect
from rtcli.client.connection import Connection
from rtcli.client.failures import Failure
from rtcli.client.http import make_http
from rtcli.client.publishing import Server
from rtcli.terminal.console import console
from rtcli.units import format_duration

READ_TIMEOUT_S = 30.0


@asynccontextmanager
async def open_server(
    connection: Connection, wait_s: float | None
) -> AsyncIterator[tuple[Server, Reconnect]]:
    """Give the server, and what decides when to ask it again, for as long as `--wait` says."""
    endpoint = connection.endpoint
    http = make_http(
        endpoint,
        context=connection.ssl_context(),
        headers=connection.headers,
        proxy=connection.proxy,
        read_timeout_s=READ_TIMEOUT_S,
    )
    async with http:
        reconnect = Reconnect(random.Random(), started=time.monotonic(), wait_s=wait_s)  # noqa: S311 - jitter
        yield Server(http, endpoint.base, endpoint.authority, connection.token), reconnect


def report_retry(failure: Failure, delay_s: float) -> None:
    """Say on stderr why it is asked again, and when."""
    console.status(f"{failure.reason}, trying again in {format_duration(delay_s)}")
