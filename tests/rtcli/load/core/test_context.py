"""What the users of a worker share."""

from __future__ import annotations

from tests.support.load.contexts import SCENARIO, user_context

BY_ROOM = SCENARIO + '    thresholds: { "fanout_latency{room:lobby}": "p(99) < 1s" }\n'


async def test_only_rooms_that_thresholds_name_have_counts_of_their_own() -> None:
    async with user_context(
        SCENARIO + '    thresholds: { "fanout_latency{room:lobby}": "p(99) < 1s" }\n'
    ) as user:
        for number in range(10_000):
            user.recorders.deliveries(f"room-{number}", websocket=True)[0] += 1
        user.recorders.deliveries("lobby", websocket=True)[0] += 1
        store = user.worker.store
        store.drain()
        assert store.tag_sets("fanout_latency") == [
            (("role", "user"),),
            (("role", "user"), ("room", "lobby")),
        ]
