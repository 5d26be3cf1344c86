"""One connection to Redis after another: the loop of the link and of the pub/sub listener."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from rtcli_server.broker.health import StoreHealth
from rtcli_server.broker.redis.causes import tell_failed_connect
from rtcli_server.broker.redis.timings import RedisTimings

Connect = Callable[[], Awaitable[AbstractConnection]]
FAILURES = (RedisError, OSError, TimeoutError)  # of the network or of Redis, which connecting again may mend


async def keep_connected(
    connect: Connect,
    use: Callable[[AbstractConnection], Awaitable[bool]],
    timings: RedisTimings,
    health: StoreHealth,
) -> None:
    """Connect and use what was made, again when that ends, until cancelled.

    `use` returns whether the connection was of any use: if not, the wait before the next one grows. What it
    raises is raised.
    """
    attempt = 0
    while True:
        try:
            async with asyncio.timeout(timings.connect_s):
                connection = await connect()
        except FAILURES as error:
            tell_failed_connect(health, error)
            attempt += 1
        else:
            attempt = 0 if await use(connection) else attempt + 1
        if attempt:
            await asyncio.sleep(timings.retry_s(attempt, random.random()))  # noqa: S311 - jitter
