"""Requests without a token, sent ahead of their answers as fast as the server takes them."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.attacks.measure import Measure
from tests.support.attacks.target import Kind, StartTarget
from tests.support.clients.peers import Peer, WsPeer, token
from tests.support.clients.pump import Pump
from tests.support.clients.raw_http import handshake_bytes
from tests.support.servers.watch import until_metric

COUNT = 50
SECONDS = 1.0
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
PAGE = b"GET /rtclient.js HTTP/1.1\r\nHost: a\r\n\r\n"
FIELDS = b"".join(b"X-%d: %b\r\n" % (number, b"x" * 150) for number in range(90))
BODY = b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
ATTACKS = {
    "small requests, answers never read": (HEALTH, False),
    "small requests, answers read": (HEALTH, True),
    "large answers, never read": (PAGE, False),
    "heads of 14 KiB": (b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + FIELDS + b"\r\n", True),
    "bodies that nobody reads": (BODY % 100_000 + b"x" * 100_000, True),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_what_is_sent_ahead_is_bounded(
    start_target: StartTarget, measure: Measure, attack: str
) -> None:
    data, reads = ATTACKS[attack]
    target = await start_target()
    async with measure(target, f"sent ahead: {attack}", connections=COUNT) as attackers:
        pumps = [Pump(data, seconds=SECONDS, reads=reads) for _ in range(COUNT)]
        for pump in pumps:
            await attackers.connect(pump, receive_buffer=None if reads else 4_096)
        await asyncio.gather(*(pump.done for pump in pumps))
        assert sum(pump.sent_bytes for pump in pumps) > 0


STREAM = "GET /api/v1/events/stream?room=r HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n"
HANDSHAKE = handshake_bytes("/api/v1/ws?token={}").decode()
ORDERS = {
    "a stream and a handshake behind it": (STREAM, HANDSHAKE),
    "a stream without a token and requests behind it": (
        "GET /api/v1/sse/stream HTTP/1.1\r\nHost: a\r\n\r\n",
        HEALTH.decode() * 1_000,
    ),
    "a handshake and frames behind it": (HANDSHAKE, "\x81\x80abcd"),
}


@pytest.mark.parametrize("order", ORDERS)
async def test_every_place_comes_back(
    start_target: StartTarget, measure: Measure, kind: Kind, order: str
) -> None:
    """110 connections of one address, which may have 100: then everyone of that address is let in again."""
    requests = [part.format(token("attacker")).encode("latin-1") for part in ORDERS[order]]
    target = await start_target(kind, "--user-connections", "off", presence_grace_s=0.1)
    async with measure(target, f"in one connection: {order}", connections=110) as attack:
        for _ in range(2):
            peers: list[Peer] = []
            for number in range(55):
                peer = Peer(b"".join(requests) if number % 2 else requests[0])
                peers.append(await attack.connect(peer))
                if not number % 2:
                    peer.transport.write(requests[1])
            await asyncio.sleep(0.3)  # whatever comes of them: half of them leave in the middle of it
            for peer in peers:
                peer.transport.abort()
        await until_metric(target, "rtcli_connections", 0)
        good = await attack.connect(WsPeer("good"))
        await good.ready
