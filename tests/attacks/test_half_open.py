"""Clients that begin and do not go on: with heads and bodies of requests, with handshakes, with nothing."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.attacks.measure import Measure
from tests.support.attacks.target import Kind, StartTarget
from tests.support.clients.peers import Peer, WsPeer
from tests.support.clients.raw_http import handshake_bytes
from tests.support.servers.watch import until_metric

COUNT = 50
BEGINNINGS = {
    "silence": b"",
    "half a handshake": handshake_bytes("/api/v1/ws")[:-2],
    "a head of 15 KiB that does not end": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 15_000,
    "half a body": b"POST /api/v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"
    + b" " * 50_000,
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
async def test_beginnings_without_an_end(start_target: StartTarget, measure: Measure, beginning: str) -> None:
    target = await start_target(header_deadline_s=1)
    async with measure(target, f"{beginning}, then nothing", connections=COUNT) as attack:
        peers = [await attack.connect(Peer(BEGINNINGS[beginning])) for _ in range(COUNT)]
        await asyncio.wait_for(asyncio.gather(*(peer.lost for peer in peers)), 30)


async def test_accepted_and_never_heard_of_again(
    start_target: StartTarget, measure: Measure, kind: Kind
) -> None:
    target = await start_target(kind, rfc_ping_interval_s=0.5, rfc_ping_timeout_s=0.5)
    async with measure(target, "admitted, then deaf and mute", connections=COUNT) as attack:
        peers = [await attack.connect(WsPeer(f"u{n}", ["room"])) for n in range(COUNT)]
        await asyncio.gather(*(peer.ready for peer in peers))
        for peer in peers:
            peer.transport.pause_reading()
        await until_metric(target, "rtcli_connections", 0)
