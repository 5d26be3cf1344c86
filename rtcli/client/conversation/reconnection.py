"""When a client that was lost is back: as soon as every room is joined again. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from rtcli.client.events import Reconnected


class Reconnection:
    """One loss, until it is over."""

    def __init__(self) -> None:
        self._lost_at: float | None = None
        self._rejoining: set[str] = set()  # rooms still to join
        self._caught_up = 0

    @property
    def is_pending(self) -> bool:
        """Whether a connection was lost, and not everything is as before."""
        return self._lost_at is not None

    def lost(self, now: float) -> None:
        """The connection is lost."""
        self._lost_at = now

    def begin(self, rooms: Iterable[str], following: int) -> None:
        """There is a connection: these rooms are to join, and `following` events of the meantime come."""
        self._rejoining = set(rooms)
        self._caught_up = following

    def replays(self, count: int) -> None:
        """Publications of the meantime come in a room."""
        self._caught_up += count

    def done(self, room: str) -> None:
        """A room is joined, or not to be joined any more."""
        self._rejoining.discard(room)

    def over(self, now: float) -> list[Reconnected]:
        """Report the return once, when nothing is left to join."""
        if self._lost_at is None or self._rejoining:
            return []
        away_s, self._lost_at = now - self._lost_at, None
        return [Reconnected(away_s, self._caught_up)]
