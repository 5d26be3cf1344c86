"""A thousand hostile connections of everything that costs most: together within the budget of the process.

Every day it is a quarter of them, within a quarter of the budget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest

from tests.support.attacks.figures import MIB, Bounds
from tests.support.attacks.measure import Attack, Measure
from tests.support.attacks.target import KIB, Kind, StartTarget, Target
from tests.support.clients.peers import Peer, StreamPeer, WsPeer, token
from tests.support.servers.watch import metric
from tests.support.waiting import all_at_once

EVERY_DAY, SOAK = 250, 1_000
AT_ONCE = 50
BYTES_EACH = 256 * KIB
NO_CAPS = ("--user-connections", "off", "--address-connections", "off")
GIVEN_BACK_S = 75.0  # the server gives memory back each minute, or more often
REPLAYS = 5  # asked for by each that asks again and again
HISTORY, MESSAGE_BYTES = 500, 2_000
SAID = 1_500  # three times what one client may leave unread


async def say(target: Target, count: int) -> None:
    """Publish in the room, in batches."""
    headers = {"Authorization": f"Bearer {token('writer', scope='publish')}"}
    async with httpx.AsyncClient(base_url=target.url, headers=headers, timeout=60) as http:
        for part in range(count // 50):
            texts = [f"{part}.{number}".ljust(MESSAGE_BYTES, "x") for number in range(50)]
            batch = {"publications": [{"room": "room", "content": text} for text in texts]}
            assert (await http.post("/api/v1/batch", json=batch)).status_code == 200


class Greedy(WsPeer):
    """Asks for the whole history, again and again, and does not read it."""

    def on_message(self, message: dict[str, object]) -> None:
        """Ask, once it is in the room."""
        super().on_message(message)
        if message["type"] == "room_joined":
            for _ in range(REPLAYS):
                self.send("join_room", room="room", history=HISTORY)
            self.transport.pause_reading()


def requests(path: str, count: int, *, sub: str | None = None) -> bytes:
    """Requests in a row, for answers that nobody reads."""
    bearer = "" if sub is None else f"Authorization: Bearer {token(sub)}\r\n"
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{bearer}\r\n".encode() * count


KINDS: tuple[Callable[[int], Peer], ...] = (
    lambda number: WsPeer(f"u{number}", ["room"]),
    lambda number: Greedy(f"u{number}", ["room"]),
    lambda number: StreamPeer(f"u{number}", ["room"]),
    lambda number: Peer(requests(f"/api/v1/rooms/room/messages?limit={HISTORY}", 5, sub=f"u{number}")),
    lambda _number: Peer(requests("/healthz", 500)),
    lambda _number: Peer(
        b"POST /api/v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 65000\r\n\r\n" + b" " * 60_000
    ),
)


async def connect(attack: Attack, number: int) -> None:
    """Connect one of them; it reads until it is in, and then never again."""
    peer = await attack.connect_deaf(KINDS[number % len(KINDS)](number))
    if isinstance(peer, WsPeer | StreamPeer):
        await asyncio.wait([peer.ready, peer.lost], return_when=asyncio.FIRST_COMPLETED)
    peer.transport.pause_reading()


@pytest.mark.timeout(300)
async def test_a_thousand_of_the_worst_mix(start_target: StartTarget, measure: Measure, soak: bool) -> None:
    for kind in (Kind.PICOWS, Kind.PORTABLE) if soak else (Kind.PICOWS,):
        await attack_with_all(start_target, measure, kind, SOAK if soak else EVERY_DAY)


async def attack_with_all(start_target: StartTarget, measure: Measure, kind: Kind, count: int) -> None:
    """Start a server, let all of them connect, and speak in their room."""
    settings = {"memory_budget_bytes": count * BYTES_EACH, "rate_limit_per_s": "off", "header_deadline_s": 60}
    target = await start_target(kind, *NO_CAPS, **settings)
    await say(target, HISTORY)
    bounds = Bounds(peak_bytes_each=BYTES_EACH, after_bytes=64 * MIB)
    async with measure(
        target,
        f"{count} of the worst mix, with and without tokens",
        connections=count,
        bounds=bounds,
        address_cap=None,
        settle_s=GIVEN_BACK_S,
    ) as attack:
        for first in range(0, count, AT_ONCE):
            await all_at_once(connect(attack, first + number) for number in range(AT_ONCE))
        await say(target, SAID)
        await target.until_loop_turns()
        assert await metric(target, "rtcli_waiting_bytes") <= count * BYTES_EACH
