"""Members who never read, while others speak: on each WebSocket transport, with characters of three bytes."""

from __future__ import annotations

import httpx
import pytest

from tests.support.attacks.figures import Bounds
from tests.support.attacks.measure import Measure
from tests.support.attacks.target import Kind, StartTarget, Target
from tests.support.clients.peers import Peer, WsPeer, token
from tests.support.servers.watch import metric

COUNT = 50
BUDGET_BYTES = 65_536
BATCH = 5
WIDE = "語" * 3_000  # 9 000 bytes


async def say(target: Target, count: int) -> None:
    """Publish wide messages in a room, in batches."""
    headers = {"Authorization": f"Bearer {token('writer', scope='publish')}"}
    async with httpx.AsyncClient(base_url=target.url, headers=headers, timeout=30) as http:
        for part in range(count // BATCH):
            batch = [{"room": "room", "content": f"{part}.{n}: {WIDE}"} for n in range(BATCH)]
            answer = await http.post("/api/v1/batch", json={"publications": batch})
            assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("kind", Kind)
async def test_members_who_never_read_are_held_to_the_budget_in_bytes(
    start_target: StartTarget, measure: Measure, kind: Kind
) -> None:
    settings = {"send_budget_bytes": BUDGET_BYTES, "history_size": 10}
    target = await start_target(kind, **settings)
    bounds = Bounds(peak_bytes_each=4 * BUDGET_BYTES)
    async with measure(
        target, "members who never read, wide characters", connections=COUNT, bounds=bounds
    ) as attack:
        peers: list[Peer] = []
        for number in range(COUNT):
            peer = await attack.connect(WsPeer(f"u{number}", ["room"]), receive_buffer=4_096)
            await peer.ready
            peer.transport.pause_reading()
            peers.append(peer)
        await say(target, 600)
        assert await metric(target, "rtcli_slow_clients") == COUNT
        assert await metric(target, "rtcli_waiting_bytes") <= COUNT * 2 * BUDGET_BYTES
