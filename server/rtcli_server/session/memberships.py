"""The rooms of one connection, by their names and as its client writes them (protocol.md, section 1)."""

from __future__ import annotations

from collections.abc import Callable


class Memberships:
    """In which rooms a client is, in which of them it may publish, and how it writes their names.

    `rooms` are names in NFC. `writable` gives the name of a room by each spelling that is known of it: its
    NFC, and the one of the latest join. So what a client has joined is looked up once for each message, and
    not normalised, and a client that joins by ever other spellings costs no memory.
    """

    __slots__ = ("_spellings", "rooms", "writable")

    def __init__(self) -> None:
        self.rooms: set[str] = set()
        self.writable: dict[str, str] = {}
        self._spellings: dict[str, str] | None = None  # by name, where they differ

    def add(self, room: str, spelling: str, *, may_publish: bool) -> None:
        """Enter a room, or enter it again by another spelling."""
        self.remove(room)
        self.rooms.add(room)
        if spelling != room:
            self._spellings = self._spellings or {}
            self._spellings[room] = spelling
        if may_publish:
            self.writable[room] = self.writable[spelling] = room

    def remove(self, room: str) -> None:
        """Leave a room; nothing happens if the client is not there."""
        self.rooms.discard(room)
        self.writable.pop(room, None)
        if self._spellings and room in self._spellings:
            self.writable.pop(self._spellings.pop(room), None)

    def spelling_of(self, room: str) -> str:
        """How the latest join wrote a room."""
        return self._spellings.get(room, room) if self._spellings else room

    def restrict(self, may_publish: Callable[[str], bool]) -> None:
        """Decide anew in which of the rooms the client may publish."""
        self.writable.clear()
        for room in filter(may_publish, self.rooms):
            self.writable[room] = self.writable[self.spelling_of(room)] = room
