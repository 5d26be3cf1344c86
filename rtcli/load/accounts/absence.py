"""One absence of a user without leave: its cause, and when the user was missing in which rooms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rtcli.load.accounts.absences import Cause


class RoomByPlan(NamedTuple):
    """A room in which the user should be now, or so many µs from now."""

    room: str
    after: int = 0
    joined: bool = False  # it was a member, and a resume brings what it misses


class Stretch(NamedTuple):
    """A time without the user in a room."""

    room: str
    start: int
    end: int


class Absence:
    """An absence without leave, until the user is back or its part is over."""

    __slots__ = ("absent_us", "by_attempt", "cause", "last", "room", "rooms", "since", "stretches")

    def __init__(self, cause: Cause, since: int, room: str, rooms: Sequence[RoomByPlan]) -> None:
        self.cause = cause
        self.by_attempt = False  # it began with an attempt to connect that failed
        self.last: Cause | None = None  # why the last attempt to come back failed
        self.since = since
        self.room = room
        self.rooms = rooms
        self.absent_us = 0
        self.stretches: list[tuple[int, int]] = []

    def final_cause(self) -> Cause:
        """The cause for a user that did not come back."""
        if self.last is None or self.last == self.cause:
            return self.cause
        return self.cause._replace(text=f"{self.cause.text}; then {self.last.text}", own=self.last.own)

    def missed(self, *, resumed: bool) -> list[Stretch]:
        """The times without the user in each of its rooms; without those that a resume has made up for."""
        return [
            Stretch(at.room, start + at.after, end)
            for at in self.rooms
            if not (resumed and at.joined)
            for start, end in self.stretches
            if start + at.after < end
        ]
