"""The list of rooms: in pieces, and one list for requests that come together where it is long."""

from __future__ import annotations

import json
from collections.abc import Callable

from rtcli_server.api.room_list import AT_ONCE, SHARED_FROM, SHARED_S, RoomList, Rooms, room_pieces


class World:
    def __init__(self, count: int) -> None:
        self.now = 100.0
        self.asked = 0
        self.rooms = {f"room-{number:05}": 1 for number in range(count)}
        self.list = RoomList(self.counts, lambda: self.now)

    async def counts(self) -> dict[str, int]:
        self.asked += 1
        return dict(self.rooms)


async def test_a_short_list_is_made_anew_each_time() -> None:
    world = World(SHARED_FROM)
    assert len(await world.list.read()) == SHARED_FROM
    world.rooms.popitem()
    assert len(await world.list.read()) == SHARED_FROM - 1


async def test_a_long_list_is_shared_for_a_moment() -> None:
    world = World(SHARED_FROM + 1)
    first = await world.list.read()
    assert await world.list.read() is first
    world.now += SHARED_S
    assert await world.list.read() is not first
    assert world.asked == 2


async def body(rooms: Rooms, is_shown: Callable[[str], bool]) -> list[bytes]:
    return [piece async for piece in room_pieces(rooms, is_shown)]


async def test_pieces_are_one_document_whatever_is_shown() -> None:
    rooms = await World(3 * AT_ONCE + 1).list.read()
    shown: list[tuple[str, int]] = [
        (name, len([pair for pair in rooms if pair[0].endswith(name)])) for name in ("", "7", "00000", "none")
    ]
    for ending, count in shown:
        pieces = await body(rooms, lambda name, ending=ending: name.endswith(ending))  # type: ignore[misc] # of this turn
        assert all(pieces)
        found = json.loads(b"".join(pieces))["rooms"]
        assert len(found) == count
        assert found == [{"room": name, "member_count": 1} for name, _ in rooms if name.endswith(ending)]


async def test_no_rooms() -> None:
    assert await body([], lambda _: True) == [b'{"rooms":[]}']
