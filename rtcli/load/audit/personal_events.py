"""A user's personal and broadcast events: each comes once and in order, over all connections.

Nobody knows here who publishes them, so their positions say what is missing: those of a channel rise by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rtcli.protocol.position import Position, lost_between, skipped

MISSING, REPEATED, DECLARED = "events_missing", "events_repeated", "events_gap"
"""Codes of the metric `errors`."""


class PersonalEvents:
    """Up to where they came, by channel. `count(code, number)` counts what is wrong."""

    __slots__ = ("_at", "_count")

    def __init__(self, count: Callable[[str, int], None]) -> None:
        self._count = count
        self._at: dict[str, Position] = {}

    @property
    def cursor(self) -> str:
        """Where the next connection goes on."""
        return ",".join(f"{channel}={position}" for channel, position in self._at.items())

    def begin(self, channels: Iterable[tuple[str, Position | None, bool | None]]) -> None:
        """Begin a connection where its greeting says: a channel goes on only if it was recovered.

        `channels`: the name of each, the top of its log, and whether it was recovered after a resume.
        """
        for channel, top, recovered in channels:
            since = self._at.get(channel)
            if top is None or (since is not None and recovered):
                continue
            if since is not None and since != top:
                self._count(DECLARED, lost_between(since, top) or 1)
            self._at[channel] = top

    def take(self, channel: str, position: Position | None) -> None:
        """Compare an event with those before it."""
        if position is None:
            return
        hole = skipped(self._at.get(channel), position)
        if hole < 0:
            self._count(REPEATED, 1)
            return
        self._at[channel] = position
        if hole:
            self._count(MISSING, hole)

    def declare_gap(self, channel: str, until: Position | None, lost: int | None) -> bool:
        """Go on behind what will not come, as the server says; False for a gap in a room."""
        since = self._at.get(channel)
        if since is None:
            return False
        if until is not None:
            self._at[channel] = until
        self._count(DECLARED, max(1, lost or lost_between(since, until) or 1))
        return True
