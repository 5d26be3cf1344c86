"""What was sent: a stream is the messages of one publisher to one room over one connection, numbered.

A connection keeps the order of what is written to it, so numbers of a stream must be seen rising. When a
publisher comes back on another connection, it starts another stream: nothing is promised across the two.
Times are whole microseconds of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

from array import array

NUMBER_BITS = 32
FAILED = -1  # in `Stream.acks`: the sender got an error


def message_id(stream: int, number: int) -> int:
    """One number for a message: its stream and its place in it (from 0)."""
    return (stream << NUMBER_BITS) | number


def split_id(identity: int) -> tuple[int, int]:
    """The stream and the place of a message."""
    return identity >> NUMBER_BITS, identity & ((1 << NUMBER_BITS) - 1)


class Stream:
    """24 bytes a message: when it was sent, when acknowledged or first seen, and its place in the room.

    `acks` holds the time of the acknowledgement; until that comes, minus the time at which a receiver first
    saw the message; 0 when there is neither, and FAILED when the sender got an error. `keys` is the place in
    the room's order, 0 while nobody has seen the message.
    """

    __slots__ = (
        "ack_keys",
        "acks",
        "earlier",
        "ended",
        "keys",
        "number",
        "owned",
        "publisher",
        "room",
        "sent",
        "top_key",
        "top_number",
        "wants_acks",
    )

    def __init__(
        self, number: int, publisher: str, room: str, *, owned: bool = True, wants_acks: bool = True
    ) -> None:
        self.number = number
        self.publisher = publisher
        self.room = room
        self.owned = owned  # False: another worker's, known from what arrived
        self.wants_acks = wants_acks
        self.earlier = 0  # messages that the publisher sent to the room over connections before this one
        self.ended: int | None = None  # when its connection was lost
        self.sent = array("q")
        self.acks = array("q")
        self.keys = array("q")
        self.ack_keys: dict[int, int] = {}  # places that acknowledgements told of messages nobody has seen
        self.top_number = -1  # the highest that anybody has seen
        self.top_key = 0  # the highest place of one that anybody has seen

    def append(self, now: int) -> int:
        """Note that the next message leaves; returns its number."""
        self.sent.append(now)
        self.acks.append(0)
        self.keys.append(0)
        return len(self.sent) - 1

    def grow(self, number: int) -> None:
        """Make room for a message of another worker's stream."""
        missing = number + 1 - len(self.sent)
        if missing > 0:
            nothing = array("q", bytes(8 * missing))
            self.sent.extend(nothing)
            self.acks.extend(nothing)
            self.keys.extend(nothing)

    def acknowledge(self, number: int, now: int, key: int | None) -> None:
        """Note an acknowledgement, and the place that it names, if any."""
        self.acks[number] = now
        if key is not None and not self.keys[number]:
            self.ack_keys[number] = key

    def see(self, number: int, now: int, key: int) -> None:
        """Note that a receiver saw the message for the first time."""
        self.keys[number] = key
        self.ack_keys.pop(number, None)
        if self.acks[number] == 0:
            self.acks[number] = -now
        self.top_number = max(self.top_number, number)
        self.top_key = max(self.top_key, key)

    @property
    def unseen(self) -> int:
        """How many messages nobody has seen and no sender got an error for."""
        return sum(
            not key and ack != FAILED and bool(sent)
            for key, ack, sent in zip(self.keys, self.acks, self.sent, strict=True)
        )

    def known_by(self, number: int, patience: int) -> int | None:
        """When the message was in the deployment for certain; None: nobody can tell that it ever was.

        That is the acknowledgement; without one, the first sight. A message that nobody acknowledged or saw
        counts as taken after `patience`, unless its connection broke before.
        """
        ack = self.acks[number]
        if ack > 0:
            return ack
        if ack < FAILED:
            return -ack
        due = self.sent[number] + patience
        return None if self.ended is not None and self.ended < due else due
