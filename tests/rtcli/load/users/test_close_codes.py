"""A server that closes its connections with every code there is: told before a run, counted in one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from itertools import chain, cycle

import pytest
from websockets.asyncio.server import ServerConnection, serve

from rtcli.client.endpoint import parse_endpoint
from rtcli.errors import CliError, Exit
from rtcli.load.core.context import Credentials
from rtcli.load.run.target import make_spec
from rtcli.load.users.flow.probe import probe
from rtcli.protocol.messages import encode
from rtcli.protocol.messages.server import Connected, ConnectedData
from tests.support.load.runs import SECRET, run, scenario

CODES = (*range(1000, 1004), *range(1007, 1015), 3000, *range(4000, 4005), 4401, 4403, 4429, 4500, 4999)
HELLO = encode(
    Connected(data=ConnectedData(connection_id="c1", user_id="u", instance_id="i", heartbeat_s=25))
)
CLOSED = """
    name: closed
    phases: [{ name: run, for: 1500ms }]
    roles:
      user: { users: USERS, reconnect: never, flow: [connect, hold] }
    audit: { settle: 100ms }
"""


@contextlib.asynccontextmanager
async def closing(codes: Iterator[int], *, greets: bool) -> AsyncIterator[str]:
    """The URL of a server that closes each connection with the next code, at once or after a greeting."""

    async def handle(connection: ServerConnection) -> None:
        if greets:
            await connection.send(HELLO, text=True)
            await asyncio.sleep(0.2)
        await connection.close(next(codes), "so it is")

    async with serve(handle, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@pytest.mark.parametrize("code", CODES)
async def test_a_server_that_takes_nobody_is_told_before_the_run(code: int) -> None:
    async with closing(cycle([code]), greets=False) as url:
        spec = await make_spec(
            scenario(CLOSED.replace("USERS", "1")),
            parse_endpoint(url),
            Credentials(secret=SECRET),
            workers=1,
            unix_start=time.time(),
        )
        with pytest.raises(CliError) as caught:
            await probe(spec)
    assert caught.value.exit_code in {Exit.AUTH, Exit.CANNOT_CONNECT}
    assert "so it is" in str(caught.value)


async def test_closes_in_a_run_are_counted_by_code() -> None:
    async with closing(chain(CODES, cycle([1000])), greets=True) as url:
        result = await run(CLOSED.replace("USERS", str(len(CODES))), url)
    counted = {code: result.metrics[f"close{{code:{code}}}"].count for code in CODES}
    assert counted == dict.fromkeys(CODES, 1)
    assert "1 × user: connection closed with 1000 so it is" in result.notes
