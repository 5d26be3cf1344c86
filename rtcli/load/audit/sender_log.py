"""What was sent: the log of a sender is its messages to one room over one connection, numbered from 0.

A connection keeps the order of what is written to it, so receivers must see the numbers of a log rise. A
publisher that reconnects starts another log: no order is promised across the two. Times are whole
microseconds of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

from array import array

NUMBER_BITS = 32
FAILED = -1  # in `SenderLog.acks`: the sender got an error


def message_id(log: int, number: int) -> int:
    """The id of a message: the number of its log and its number in the log, as one integer."""
    return (log << NUMBER_BITS) | number


def split_id(identity: int) -> tuple[int, int]:
    """The number of a message's log and the message's number in it."""
    return identity >> NUMBER_BITS, identity & ((1 << NUMBER_BITS) - 1)


class SenderLog:
    """Messages of one sender to one room over one connection, 24 bytes each, indexed by their number.

    `sent` holds when each was sent. `acks` holds when it was acknowledged; until then, minus the time at
    which a receiver first saw it; 0 when there is neither; FAILED when the sender got an error. `keys` holds
    its key in the room's order (see `room`), 0 while nobody has seen it.
    """

    __slots__ = (
        "ack_keys",
        "acked",
        "acks",
        "earlier",
        "ended",
        "ended_by",
        "keys",
        "number",
        "owned",
        "publisher",
        "room",
        "room_code",
        "sent",
        "top_key",
        "top_number",
    )

    def __init__(
        self,
        number: int,
        publisher: str,
        room: str,
        *,
        code: int = 0,
        owned: bool = True,
        acked: bool = True,
    ) -> None:
        self.number = number
        self.publisher = publisher
        self.room = room
        self.room_code = code  # in its tokens: see `token.room_code`
        self.owned = owned  # False: the sender is in another worker
        self.acked = acked  # whether its messages ask for an acknowledgement
        self.earlier = 0  # messages of the publisher to the room over earlier connections
        self.ended: int | None = None  # when its connection was lost
        self.ended_by: tuple[str, str] | None = None  # code and text, if the scenario did not ask for that
        self.sent = array("q")
        self.acks = array("q")
        self.keys = array("q")
        self.ack_keys: dict[int, int] = {}  # keys from acknowledgements, of messages that nobody has seen
        self.top_number = -1  # the highest number that anybody has seen
        self.top_key = 0  # the highest key of a message that anybody has seen

    def message_name(self, number: int) -> str:
        """The name of a message for people: `writer 3 #41837`."""
        return f"{self.publisher} #{self.earlier + number + 1}"

    def append(self, now: int) -> int:
        """Record that the next message is sent; returns its number."""
        self.sent.append(now)
        self.acks.append(0)
        self.keys.append(0)
        return len(self.sent) - 1

    def grow(self, number: int) -> None:
        """Extend the log of another worker's sender up to this number."""
        missing = number + 1 - len(self.sent)
        if missing > 0:
            nothing = array("q", bytes(8 * missing))
            self.sent.extend(nothing)
            self.acks.extend(nothing)
            self.keys.extend(nothing)

    def complete(
        self,
        publisher: str,
        room: str,
        *,
        ended: int | None,
        earlier: int,
        acked: bool,
        sent: array[int],
        acks: array[int],
    ) -> None:
        """Take over what the sender's own worker knows, and keep what receivers here saw first.

        Messages that were received beyond the end of the log were never sent.
        """
        self.publisher, self.room = publisher, room
        self.ended, self.earlier, self.acked = ended, earlier, acked
        if sent:
            self.grow(len(sent) - 1)
        seen = self.acks
        self.sent = sent + array("q", bytes(8 * (len(self.sent) - len(sent))))
        self.acks = acks + array("q", bytes(8 * (len(self.acks) - len(acks))))
        self.add_sights(seen)

    def add_sights(self, seen: array[int]) -> None:
        """Take over when messages without an acknowledgement were first seen, where that was earlier."""
        for number, (ack, sight) in enumerate(zip(self.acks, seen, strict=False)):
            if sight < FAILED and (not ack or ack < sight):
                self.acks[number] = sight

    def withdraw(self) -> None:
        """Record that none of the messages was sent."""
        self.sent = array("q", bytes(8 * len(self.sent)))

    def acknowledge(self, number: int, now: int, key: int | None) -> None:
        """Record an acknowledgement, with the key of the position in it, if it has one."""
        self.acks[number] = now
        if key is not None and not self.keys[number]:
            self.ack_keys[number] = key

    def see(self, number: int, now: int, key: int) -> None:
        """Record that a receiver saw the message for the first time."""
        self.keys[number] = key
        self.ack_keys.pop(number, None)
        if self.acks[number] == 0:
            self.acks[number] = -now
        self.top_number = max(self.top_number, number)
        self.top_key = max(self.top_key, key)

    @property
    def unseen(self) -> int:
        """Number of messages that nobody has seen and that were not refused."""
        return sum(
            not key and ack != FAILED and bool(sent)
            for key, ack, sent in zip(self.keys, self.acks, self.sent, strict=True)
        )

    def known_by(self, number: int, patience: int) -> int | None:
        """The time at which the message was certainly published; None when it may never have been.

        That is its acknowledgement; without one, its first delivery. A message with neither counts as
        published `patience` (µs) after it was sent, unless its connection was lost before.
        """
        ack = self.acks[number]
        if ack > 0:
            return ack
        if ack < FAILED:
            return -ack
        due = self.sent[number] + patience
        return None if self.ended is not None and self.ended < due else due
