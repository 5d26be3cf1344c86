"""Bodies in the chunked coding that are mostly something else than content, with and without a token."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.attacks.figures import ANONYMOUS, WITH_TOKEN
from tests.support.attacks.measure import Measure
from tests.support.attacks.target import StartTarget
from tests.support.clients.peers import token
from tests.support.clients.pump import Pump

COUNT = 50
SECONDS = 1.0
HEAD = (
    "POST /api/v1/batch HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    "Content-Type: application/json\r\n{}\r\n"
)
CHUNKS = {
    "chunks of one byte": (b"", b"1\r\n \r\n"),
    "extensions": (b"", b"1;" + b"x" * 1_000 + b"\r\n \r\n"),
    "trailers": (b"0\r\n", b"Authorization: x\r\n"),
    "a trailer without an end": (b"0\r\nAuthorization: ", b"x" * 60_000),
}


WITH_AND_WITHOUT = [(chunks, False) for chunks in CHUNKS] + [("chunks of one byte", True), ("trailers", True)]


@pytest.mark.parametrize(("chunks", "with_token"), WITH_AND_WITHOUT)
async def test_what_is_not_content_is_bounded(
    start_target: StartTarget, measure: Measure, chunks: str, with_token: bool
) -> None:
    first, data = CHUNKS[chunks]
    head = HEAD.format(f"Authorization: Bearer {token('7')}\r\n" if with_token else "").encode()
    target = await start_target()
    bounds = WITH_TOKEN if with_token else ANONYMOUS
    name = f"{chunks}, {'with' if with_token else 'without'} a token"
    async with measure(target, name, connections=COUNT, bounds=bounds) as attack:
        pumps = [Pump(data, first=head + first, seconds=SECONDS, reads=True) for _ in range(COUNT)]
        for pump in pumps:
            await attack.connect(pump)
        await asyncio.gather(*(pump.done for pump in pumps))
