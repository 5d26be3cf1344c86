"""Which faults to make, and which were made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from random import Random

Made = Counter[tuple[str, str, str, str]]
"""(kind, subscriber, room, message), counted, as the audit names them."""


def subscriber_of(user_id: str) -> str:
    """The load tester's name for one of its users: `reader-3` is `reader 3`."""
    role, _, number = user_id.rpartition("-")
    return f"{role} {number}"


class Faults:
    """Rolls dice for each delivery to a victim: users whose id begins with one of `victims`.

    `change` makes what everybody gets of a text. What is published to `dead_rooms` reaches nobody.
    """

    def __init__(
        self,
        chances: Mapping[str, float],
        *,
        victims: tuple[str, ...] = ("reader",),
        seed: int = 1,
        change: Callable[[str], str] = str,
        dead_rooms: Collection[str] = (),
    ) -> None:
        self.chances = chances
        self.change = change
        self.dead_rooms = dead_rooms
        self.victims = victims
        self.made: Made = Counter()
        self.declared = 0  # deliveries that a `gap` said would not come
        self.on = True
        self._rng = Random(seed)

    def roll(self, kind: str) -> bool:
        """Whether to make a fault of this kind now."""
        return self.on and self._rng.random() < self.chances.get(kind, 0.0)

    def pick(self, kinds: tuple[str, ...], user_id: str) -> str:
        """At most one of these kinds, for a delivery to this user; '' for none."""
        if not user_id.startswith(self.victims):
            return ""
        return next((kind for kind in kinds if self.roll(kind)), "")

    def note(self, kind: str, user_id: str, room: str, message: str) -> None:
        """Write a fault down, in the audit's words."""
        self.made[kind, subscriber_of(user_id), room, message] += 1

    def lied(self, user_id: str, room: str, message: str) -> None:
        """Write down that a resume kept a message back, once, however often it did."""
        self.made["resume_gap", subscriber_of(user_id), room, message] = 1

    def made_good(self, user_id: str, room: str, message: str) -> None:
        """Cross that out: a later resume gave it after all."""
        self.made.pop(("resume_gap", subscriber_of(user_id), room, message), None)
