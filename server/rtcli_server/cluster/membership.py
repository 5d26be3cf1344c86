"""Which instances live, and which are dead beyond doubt. Pure.

An instance whose lease ended may only have been cut off, or stopped together with the store; if its users
were taken out at once, everyone would see them leave and come back. So it counts as dead when two signs of
life of ours in a row, each a heartbeat apart, did not find it.
"""

from __future__ import annotations

from collections.abc import Iterable

MISSES = 2
MAX_DEAD = 64  # the latest; their names go into every request


class Census:
    """What this instance knows of the others."""

    def __init__(self) -> None:
        self.alive: frozenset[str] = frozenset()
        self._missing: dict[str, int] = {}  # how often in a row it was not found
        self._dead: dict[str, None] = {}

    @property
    def dead(self) -> tuple[str, ...]:
        """Instances whose users are to be taken out wherever they are met."""
        return tuple(self._dead)

    def met(self, instances: Iterable[str]) -> None:
        """Take notice of instances that somebody is said to be on; unknown ones are watched from now on."""
        for instance in instances:
            if instance not in self.alive and instance not in self._dead:
                self._missing.setdefault(instance, 0)

    def beaten(self, alive: frozenset[str]) -> list[str]:
        """Take the answer to a sign of life; return who is found dead by it."""
        missed, self.alive = self.alive - alive, alive
        self.met(missed)
        found = []
        for instance in list(self._missing):
            if instance in alive:
                del self._missing[instance]
                continue
            self._missing[instance] += 1
            if self._missing[instance] >= MISSES:
                del self._missing[instance]
                self._dead[instance] = None
                found.append(instance)
        for instance in alive & self._dead.keys():
            del self._dead[instance]  # it was cut off for long, and is back
        while len(self._dead) > MAX_DEAD:
            del self._dead[next(iter(self._dead))]
        return found
