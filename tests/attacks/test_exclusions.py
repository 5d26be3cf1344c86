"""Exclusions by somebody who may publish: too many, malformed, or the longest ones, of everybody there."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable

import httpx
import pytest

from rtcli.protocol.exclusion import MAX_EXCLUDED
from tests.support.attacks.figures import MIB, Bounds
from tests.support.attacks.measure import Measure
from tests.support.attacks.target import Kind, StartTarget, Target
from tests.support.clients.peers import Peer, StreamPeer, WsPeer, token
from tests.support.waiting import all_at_once, until

AT_ONCE = 4  # batches: each may be 1 MiB, and has 10 s to come
MEMBERS = 50
PUBLICATIONS, PUBLICATIONS_SOAK = 200, 5_000
EACH, EACH_SOAK = 1, 100
BODY_BYTES = MIB - 1_000


async def post_all(target: Target, bodies: list[bytes]) -> list[httpx.Response]:
    """Send batches, some at once; the answers are in the order in which they came."""
    headers = {"Authorization": f"Bearer {token('app', scope='publish')}", "Content-Type": "application/json"}
    rest, answers = iter(bodies), list[httpx.Response]()

    async def one_after_the_other(http: httpx.AsyncClient) -> None:
        for body in rest:
            answers.append(await http.post("/api/v1/batch", content=body))

    async with httpx.AsyncClient(base_url=target.url, headers=headers, timeout=60) as http:
        askers: list[Awaitable[None]] = [one_after_the_other(http) for _ in range(AT_ONCE)]
        await asyncio.gather(*askers)
    return answers


def full_of(item: str, parts: int = 1) -> bytes:
    """A batch as large as it may be, whose parts exclude as many of `item` (JSON) as there is room for."""
    count = (BODY_BYTES // parts - 100) // (len(item) + 1)
    part = f'{{"event":"x","exclude":{{"users":[{",".join([item] * count)}]}}}}'
    return f'{{"publications":[{",".join([part] * parts)}]}}'.encode()


async def test_exclusions_that_are_none(start_target: StartTarget, measure: Measure, soak: bool) -> None:
    target = await start_target()
    items = ("null", '""', '"7"', "7", "1.5", "9" * 4_000, '"\\ud83d\\ude00"')
    bodies = [full_of(item, parts) for item in items for parts in (1, 100)]
    assert max(map(len, bodies)) < MIB
    bounds = Bounds(peak_bytes_each=2 * MIB, after_bytes=32 * MIB, held_s=0.5)  # as any such body
    async with measure(target, "exclusions that are none", connections=MEMBERS, bounds=bounds):
        answers = await post_all(target, bodies * (EACH_SOAK if soak else EACH))
        statuses = {result["status"] for answer in answers for result in answer.json()["results"]}
        assert statuses == {400}
        assert max(len(answer.content) for answer in answers) < MIB


@pytest.mark.timeout(600)
async def test_the_longest_exclusions(
    start_target: StartTarget, measure: Measure, kind: Kind, soak: bool
) -> None:
    """Of everybody who is there; then all of them ask for what the log has."""
    target = await start_target(kind)
    members = [f"{number}".ljust(100, "x") for number in range(MEMBERS)]
    users = members + [f"{number}".ljust(100, "y") for number in range(MAX_EXCLUDED - MEMBERS)]
    part = {"room": "a", "content": "x", "exclude": {"users": users}}
    batch = json.dumps({"publications": [part] * 50}).encode()
    bounds = Bounds(peak_bytes_each=2 * MIB, after_bytes=24 * MIB)  # 8 MiB of it are the log's
    async with measure(target, "the longest exclusions", connections=MEMBERS, bounds=bounds) as attack:

        async def come(number: int) -> Peer:
            sub = members[number]
            peer = await attack.connect(WsPeer(sub, ["a"]) if number % 2 else StreamPeer(sub, ["a"]))
            await peer.ready
            return peer

        peers = [await come(number) for number in range(MEMBERS)]
        answers = await post_all(target, [batch] * ((PUBLICATIONS_SOAK if soak else PUBLICATIONS) // 50))
        results = [result for answer in answers for result in answer.json()["results"]]
        assert {result["status"] for result in results} == {201}
        assert {result["published"]["queued"]["here"] for result in results} == {0}
        sockets = [peer for peer in peers if isinstance(peer, WsPeer)]
        await all_at_once(has_skipped(peer, len(results)) for peer in sockets)
        for peer in sockets:
            peer.messages.clear()
            peer.send("join_room", "again", room="a", history=500)
        await all_at_once(has_replayed(peer) for peer in sockets)


async def has_skipped(peer: WsPeer, count: int) -> None:
    """Wait until that many publications have come as a position, and no content."""

    def types() -> Counter[str]:
        return Counter(message["type"] for message in peer.messages)

    await until(lambda: types()["skipped"] >= count, f"not all of {count} came")
    assert (types()["skipped"], types()["new_message"]) == (count, 0)


async def has_replayed(peer: WsPeer) -> None:
    """Wait for the reply to the join, and as many publications as it names: those that the log holds."""
    await until(lambda: any(message.get("id") == "again" for message in peer.messages), "no reply")
    [joined] = [message["data"] for message in peer.messages if message.get("id") == "again"]
    assert 50 <= joined["replayed"] < 200
    await has_skipped(peer, joined["replayed"])
