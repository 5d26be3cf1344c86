"""The list of rooms, made in pieces. Long lists that are asked for at about the same time are one list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import msgspec

SHARED_FROM = 1_000  # rooms: a shorter list is made anew for each request
SHARED_S = 1.0  # how old a shared one may be
AT_ONCE = 250  # rooms of one piece, and of one loop turn

Rooms = Sequence[tuple[str, int]]  # by name, with the number of members
_encode = msgspec.json.Encoder().encode


class RoomList:
    """Asks for all rooms. `now` is in monotonic seconds."""

    def __init__(self, counts: Callable[[], Awaitable[Mapping[str, int]]], now: Callable[[], float]) -> None:
        self._counts = counts
        self._now = now
        self._shared: Rooms = ()
        self._shared_at = 0.0

    async def read(self) -> Rooms:
        """Return every room with its number of members. Raises BrokerUnavailableError."""
        if self._shared and self._now() < self._shared_at + SHARED_S:
            return self._shared
        rooms = sorted((await self._counts()).items())
        self._shared = rooms if len(rooms) > SHARED_FROM else ()
        self._shared_at = self._now()
        return rooms


async def room_pieces(rooms: Rooms, is_shown: Callable[[str], bool]) -> AsyncIterator[bytes]:
    """The answer (`RoomsOut`) with those of `rooms` that are shown."""
    piece = b'{"rooms":['
    begun = False
    for start in range(0, len(rooms), AT_ONCE):
        shown = [
            _encode({"room": room, "member_count": count})
            for room, count in rooms[start : start + AT_ONCE]
            if is_shown(room)
        ]
        if start:
            await asyncio.sleep(0)
        if shown:
            if begun:
                yield piece
                piece = b","
            piece += b",".join(shown)
            begun = True
    yield piece + b"]}"
