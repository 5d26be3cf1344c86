"""The rooms of a client, and what can be asked about all of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rtcli.client.conversation.room import Room, Text
from rtcli.protocol.position import ROOM_PREFIX, Position


class Rooms(dict[str, Room]):
    """By name, in the order in which the user has asked for them."""

    def unacknowledged(self) -> Iterator[tuple[str, str]]:
        """(room, content) of every text without an acknowledgement, oldest first per room."""
        return ((room.name, text.content) for room in self.values() for text in room.texts)

    @property
    def unsent(self) -> int:
        """Number of texts without an acknowledgement."""
        return sum(len(room.texts) for room in self.values())

    @property
    def settled(self) -> bool:
        """Whether every room is joined and everything from before the join has been delivered."""
        return all(room.joined and room.caught_up and not room.held for room in self.values())

    def positions(self) -> Iterator[tuple[str, Position]]:
        """Channel and position of each room of which something was delivered."""
        for room in self.values():
            if room.last_delivered is not None:
                yield ROOM_PREFIX + room.name, room.last_delivered

    def find(self, identifier: str | None) -> tuple[Room, Text] | None:
        """The unacknowledged text with this id, and its room."""
        for room in self.values():
            text = room.find(identifier)
            if text is not None:
                return room, text
        return None

    def joined_by(self, identifier: str | None) -> Room | None:
        """The room that this request is to join."""
        for room in self.values():
            if identifier == room.join_id and (room.rereading or not room.joined):
                return room
        return None
