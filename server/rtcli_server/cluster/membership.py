"""Which instances live, and which are certainly dead. Pure.

An instance whose lease ended may only have been cut off, or stopped together with the store; if its users
were taken out at once, everyone would see them leave and come back. So an instance counts as dead when it was
missing from the answers to two heartbeats in a row.
"""

from __future__ import annotations

from collections.abc import Iterable

MISSES = 2
MAX_DEAD = 64  # the latest ones; their names go into every request


class ClusterMembership:
    """What this instance knows of the others."""

    def __init__(self) -> None:
        self.alive: frozenset[str] = frozenset()
        self._misses: dict[str, int] = {}  # in a row, of instances that are not alive
        self._dead: dict[str, None] = {}

    @property
    def dead(self) -> tuple[str, ...]:
        """Instances whose users are to be taken out wherever they are found."""
        return tuple(self._dead)

    def observe(self, instances: Iterable[str]) -> None:
        """Record instances that users are said to be on. Those that are not alive are watched from now on."""
        for instance in instances:
            if instance not in self.alive and instance not in self._dead:
                self._misses.setdefault(instance, 0)

    def on_heartbeat(self, alive: frozenset[str]) -> list[str]:
        """Record the answer to a heartbeat; return the instances that it shows to be dead."""
        missed, self.alive = self.alive - alive, alive
        self.observe(missed)
        found = []
        for instance in list(self._misses):
            if instance in alive:
                del self._misses[instance]
                continue
            self._misses[instance] += 1
            if self._misses[instance] >= MISSES:
                del self._misses[instance]
                self._dead[instance] = None
                found.append(instance)
        for instance in alive & self._dead.keys():
            del self._dead[instance]  # it was cut off for long, and is back
        while len(self._dead) > MAX_DEAD:
            del self._dead[next(iter(self._dead))]
        return found
