"""The users whose start is due. For whoever has not started in the end, the load generator was too late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

GRACE_S = 1.0  # somebody who is due this shortly before the end need not have started


@dataclass(frozen=True, slots=True)
class DueUser:
    """A user of a role by its index, and when it should start (seconds of the run)."""

    role: str
    index: int
    start: float

    @property
    def name(self) -> str:
        """The user's name."""
        return f"{self.role} {self.index + 1}"


class DueUsers:
    """The users of a worker who should start, until they do."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], float] = {}
        self._arrivals: dict[str, Iterator[tuple[int, float]]] = {}

    def expect(self, role: str, index: int, start: float) -> None:
        """A user should start at this time."""
        self._waiting[role, index] = start

    def expect_arrivals(self, role: str, arrivals: Iterator[tuple[int, float]]) -> None:
        """More users should start, whose index and time are taken from `arrivals` one after the other."""
        self._arrivals[role] = arrivals

    def started(self, role: str, index: int) -> None:
        """The user has started."""
        self._waiting.pop((role, index), None)

    def never_started(self, end: float) -> Iterator[DueUser]:
        """The users who should have started before the run ended, and did not."""
        end -= GRACE_S
        for (role, index), start in self._waiting.items():
            if start < end:
                yield DueUser(role, index, start)
        for role, arrivals in self._arrivals.items():
            for index, start in arrivals:
                if start >= end:
                    break
                yield DueUser(role, index, start)
