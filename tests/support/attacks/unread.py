"""Clients that ask and do not read what they are answered, and a log that has much to answer with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import httpx

from tests.support.attacks.target import Target
from tests.support.clients.peers import token
from tests.support.servers.watch import metric

MESSAGE = "語" * 5_000  # 15 000 bytes
FULL = 500  # messages: as many as one request may ask for
BATCH = 50
STILL = (
    10  # answers in a row without a change: then nothing more is being written, however slow the server is
)
HARDLY = 0.01  # heartbeats are written all the time
DEADLINE_S = 30.0


async def fill(target: Target, rooms: Iterable[str], count: int = FULL) -> str:
    """Publish `count` long messages in each room; return the epoch of the log."""
    headers = {"Authorization": f"Bearer {token('writer')}"}
    epoch = ""
    async with httpx.AsyncClient(base_url=target.url, headers=headers, timeout=30) as http:
        for room in rooms:
            for start in range(0, count, BATCH):
                batch = [{"room": room, "content": f"{start + n}: {MESSAGE}"} for n in range(BATCH)]
                answer = await http.post("/api/v1/batch", json={"publications": batch})
                assert answer.status_code == 200, answer.text
                epoch = answer.json()["results"][0]["published"]["epoch"]
    return epoch


async def until_all_waits(target: Target) -> float:
    """Wait until what waits for clients hardly changes any more; return it in bytes."""
    deadline = time.monotonic() + DEADLINE_S
    before, unchanged = 0.0, 0
    while unchanged < STILL:
        waiting = await metric(target, "rtcli_waiting_bytes")
        unchanged += 1
        if abs(waiting - before) > HARDLY * before:
            before, unchanged = waiting, 0
        assert time.monotonic() < deadline, f"{waiting} bytes wait, and it does not end"
        await asyncio.sleep(0.05)
    return before


async def until_no_more_waits_than(target: Target, bound: float) -> None:
    """Wait until what waits for clients is no more than `bound` bytes."""
    deadline = time.monotonic() + DEADLINE_S
    while (waiting := await metric(target, "rtcli_waiting_bytes")) > bound:
        assert time.monotonic() < deadline, f"{waiting} bytes wait, more than {bound}"
        await asyncio.sleep(0.05)
