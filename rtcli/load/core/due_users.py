"""The users whose start is due. For whoever has not started in the end, the load generator was too late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

GRACE_S = 1.0  # somebody who is due this shortly before the end need not have started


@dataclass(frozen=True, slots=True)
class DueUser:
    """A user of a role by its index, and from when to when its part is (seconds of the run)."""

    role: str
    index: int
    start: float
    end: float

    @property
    def name(self) -> str:
        """The user's name."""
        return f"{self.role} {self.index + 1}"


class DueUsers:
    """The users of a worker who should start, until they do."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], tuple[float, float]] = {}
        self._arrivals: dict[str, Iterator[tuple[int, float, float]]] = {}

    def expect(self, role: str, index: int, start: float, end: float) -> None:
        """A user should start at this time, and its part ends at that one."""
        self._waiting[role, index] = start, end

    def expect_arrivals(self, role: str, arrivals: Iterator[tuple[int, float, float]]) -> None:
        """More users should start; their index, start and end are taken from `arrivals` one after another."""
        self._arrivals[role] = arrivals

    def started(self, role: str, index: int) -> None:
        """The user has started."""
        self._waiting.pop((role, index), None)

    def never_started(self, end: float) -> Iterator[DueUser]:
        """The users who should have started before the run ended, and did not."""
        latest = end - GRACE_S
        for (role, index), (start, over) in self._waiting.items():
            if start < latest:
                yield DueUser(role, index, start, over)
        for role, arrivals in self._arrivals.items():
            for index, start, over in arrivals:
                if start >= latest:
                    break
                yield DueUser(role, index, start, over)
