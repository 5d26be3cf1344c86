"""Many clients at once who do not read: all of them together stay within the budget of the process."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from tests.support.attacks.figures import MIB, Bounds
from tests.support.attacks.measure import Attack, Measure
from tests.support.attacks.target import KIB, Kind, StartTarget, Target, address
from tests.support.attacks.unread import FULL, fill, until_all_waits, until_no_more_waits_than
from tests.support.clients.peers import Peer, StreamPeer, WsPeer, token
from tests.support.clients.raw_http import TEXT, encode
from tests.support.servers.watch import metric, until_metric
from tests.support.waiting import all_at_once, until

SLOW, FAST = 200, 5
SAID = 120
TIGHT = 2  # MiB
LEAST = 32 * KIB  # wait for one who is slow, whatever the kernels take: with less it gets the next piece
NO_PINGS = {"rfc_ping_interval_s": 600}  # which the deaf would not answer: only the budget may cut them
CONTENT = "x" * 16_000
HOSTILE, HOSTILE_SOAK = 100, 1_000
FULL_ROOMS = [f"full-{number}" for number in range(8)]


async def say(target: Target) -> None:
    """Publish long messages, three at a time."""
    headers = {"Authorization": f"Bearer {token('writer')}"}
    async with httpx.AsyncClient(base_url=target.url, headers=headers, timeout=30) as http:
        for start in range(0, SAID, 3):
            batch = [{"room": "room", "content": f"{start + n}: {CONTENT}"} for n in range(3)]
            assert (await http.post("/api/v1/batch", json={"publications": batch})).status_code == 200


async def join_deaf(attack: Attack, number: int) -> None:
    """Join the room by one of the transports, and read nothing any more."""
    peer: Peer = StreamPeer(f"s{number}", ["room"]) if number % 2 else WsPeer(f"w{number}", ["room"])
    await attack.connect_deaf(peer, source=address(number))
    await asyncio.wait_for(peer.ready, 30)
    peer.transport.pause_reading()


@pytest.mark.parametrize(("kind", "budget"), [(Kind.PICOWS, 64), (Kind.PORTABLE, 64), (Kind.PICOWS, TIGHT)])
async def test_slow_readers_of_a_large_fan_out(
    start_target: StartTarget, measure: Measure, kind: Kind, budget: int
) -> None:
    target = await start_target(kind, "--memory-budget", f"{budget}MiB", slow_deadline_s=120, **NO_PINGS)
    bounds = Bounds(peak_bytes_each=64 * MIB / SLOW)
    name = f"unread: a large fan-out, budget {budget} MiB"
    async with measure(target, name, connections=SLOW, bounds=bounds) as attack:
        fast = [await attack.connect(WsPeer(f"fast-{number}", ["room"])) for number in range(FAST)]
        await asyncio.gather(*(peer.ready for peer in fast))
        await all_at_once(join_deaf(attack, number) for number in range(SLOW))
        await say(target)
        for peer in fast:
            await until(lambda peer=peer: len(peer.of_type("new_message")) == SAID, "a fast one is held up")  # type: ignore[misc] # of this turn
            assert [data["offset"] for data in peer.of_type("new_message")] == list(range(1, SAID + 1))
        await until_all_waits(target)  # what is still written could be over the budget again
        await until_no_more_waits_than(target, budget * MIB)
        closed = await metric(target, "rtcli_server_closes_total") if budget == TIGHT else 0
        await until_metric(target, "rtcli_connections", FAST + SLOW - closed)  # nobody is cut uncounted
        assert budget != TIGHT or 0 < SLOW - closed <= TIGHT * MIB / LEAST
        assert not any(peer.lost.done() for peer in fast)


def hostile(number: int, cursor: str, epoch: str) -> tuple[Peer, bytes]:
    """One of the worst mix: who it is, and what it sends when it is let in."""
    join = {"type": "join_room", "data": {"room": FULL_ROOMS[number % 8], "history": FULL}}
    resume = {"type": "join_room", "data": {"room": FULL_ROOMS[number % 8], "since": f"{epoch}-0"}}
    said = {"type": "chat_message", "data": {"room": f"own-{number}", "content": CONTENT}}
    own = {"type": "join_room", "data": {"room": f"own-{number}"}}
    if number % 4 == 0:
        return StreamPeer(f"h{number}", FULL_ROOMS, last_event_id=cursor), b""
    kinds = ([own, *[said] * 10], [join] * 50, [resume] * 50)
    frames = [encode(TEXT, json.dumps(message).encode()) for message in kinds[number % 4 - 1]]
    return WsPeer(f"h{number}"), b"".join(frames)


@pytest.mark.timeout(600)  # with --soak
async def test_the_worst_mix(start_target: StartTarget, measure: Measure, kind: Kind, soak: bool) -> None:
    count, budget = (HOSTILE_SOAK, 256) if soak else (HOSTILE, 64)
    target = await start_target(kind, "--memory-budget", f"{budget}MiB", slow_deadline_s=120)
    epoch = await fill(target, FULL_ROOMS, 100)
    cursor = ",".join(f"{room}={epoch}-0" for room in FULL_ROOMS)
    # What a quarter of them said is in the log; what uvicorn keeps in cycles waits for the collector.
    after_bytes = 64 * MIB + 2 * count / 4 * 10 * len(CONTENT)
    bounds = Bounds(peak_bytes_each=budget * MIB / count, after_bytes=after_bytes)
    async with measure(target, f"{count} of the worst mix", connections=count, bounds=bounds) as attack:
        for number in range(count):
            peer, sent = hostile(number, cursor, epoch)
            await attack.connect_deaf(peer, source=address(number))
            await asyncio.wait_for(peer.ready, 30)
            peer.transport.pause_reading()
            peer.transport.write(sent)
        assert await until_all_waits(target) <= budget * MIB
