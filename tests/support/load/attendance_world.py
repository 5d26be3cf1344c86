"""What happens to a user, driven by a seed: told to a presence as events, and painted on a time line by hand.

The time line has a cell for each unit of time, which says whether the user is planned there, and present. It
is painted by episodes, with all that follows known: no state is kept, and so the presence can be compared
with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from random import Random

from rtcli.load.accounts.absence import RoomByPlan
from rtcli.load.accounts.absences import Cause
from rtcli.load.accounts.presence import Presence

UNIT = 100_000  # µs
GRACE = 6  # units
PLACE = 3  # of the join
BUSY = Cause("http_503", "503")
GONE = Cause("close_1006", "gone")
FULL = Cause("room_full", "full")
ROOMS = (RoomByPlan("hall", joined=True), RoomByPlan("garden", 2 * UNIT))

Event = tuple[int, Callable[[Presence, int], None]]


class _OverError(Exception):
    """The user's part is over."""


class Story:
    """One user's part, from time 0 to `end`, both in units."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.end = self.rng.randint(5, 90)
        self.now = self.rng.randint(0, 4)
        self.events: list[Event] = []
        self.cells: list[bool | None] = [None] * self.end  # present; None: not planned
        self.outcome: str | None = None
        self.took_part = self.entered = False
        self.interruptions: list[str] = []  # codes
        self.code = ""  # of the absence that lasts
        self.waits_for = "no_answer"  # the code, if the end leaves it unresolved
        self.absent = 0  # its units
        self.missed: list[tuple[str, int, int]] = []
        self._stretches: list[tuple[int, int]] = []
        with contextlib.suppress(_OverError):
            self._play()

    # -- the time line -------------------------------------------------------------------------------------

    def paint(self, start: int, end: int, *, present: bool) -> None:
        for cell in range(start, min(end, self.end)):
            self.cells[cell] = present

    def paint_absent(self, start: int, end: int) -> None:
        end = min(end, self.end)
        self.paint(start, end, present=False)
        if end > start:
            self.absent += end - start
            self._stretches.append((start, end))

    def say(self, tell: Callable[[Presence, int], None]) -> None:
        self.events.append((self.now * UNIT, tell))

    def back(self, *, resumed: bool) -> None:
        if self.code:
            self.interruptions.append(self.code)
            self._miss(resumed=resumed)
        self.code, self.absent, self._stretches = "", 0, []
        self.took_part = True

    def over(self, outcome: str | None) -> None:
        self.outcome = "absent" if self.code else outcome
        if self.code:
            self._miss(resumed=False)
        raise _OverError

    def _miss(self, *, resumed: bool) -> None:
        for room in ROOMS:
            if not (resumed and room.joined):
                for start, end in self._stretches:
                    if start * UNIT + room.after < end * UNIT:
                        self.missed.append((room.room, start * UNIT + room.after, end * UNIT))

    def wait(self, units: int) -> bool:
        """Let time pass; False when the end comes first."""
        self.now += units
        return self.now < self.end

    # -- episodes ------------------------------------------------------------------------------------------

    def _play(self) -> None:
        if self.now >= self.end:
            return
        self._connect("new")
        while True:
            stay = self.rng.randint(0, 12)
            self.paint(self.now, self.now + stay, present=True)
            if not self.wait(stay):
                self.over(None)
            self.rng.choice([self._lose, self._go_away, self._join, self._join])()

    def _connect(self, after: str, since: int = 0) -> None:
        """Attempts to connect until one succeeds. `after`: new, lost, away, or refused (absent `since`)."""
        while True:
            start = self.now
            resumes = after in {"lost", "away"} and self.rng.random() < 0.5
            self.say(lambda user, at: user.attempt(at))
            if not self.wait(self.rng.randint(1, 9)):
                self._pending(after, since, start)
            if self.rng.random() < 0.55:
                break
            self.say(lambda user, at: user.failed(at, BUSY))
            if after in {"new", "away"}:
                since, self.code = (start if after == "new" else self.now), self.code or BUSY.code
                after = "refused"
            if not self.wait(self.rng.randint(0, 5)):
                self.paint_absent(since, self.end)
                self.over("absent")
        self.say(lambda user, at: user.confirmed(at, resumed=resumes))
        if after == "new":
            self.paint(start, self.now, present=True)
        elif after == "refused":
            self.paint_absent(since, start)
            self.paint(start, self.now, present=True)
        elif after == "lost":
            self.paint_absent(since, self.now)
        self.back(resumed=resumes)

    def _pending(self, after: str, since: int, start: int) -> None:
        """The part ends while an attempt that began at `start` is under way."""
        is_long = self.end - start >= GRACE
        if after == "new" and is_long:
            self.code = "no_answer"
            self.paint_absent(start, self.end)
        elif after in {"lost", "refused"}:
            self.paint_absent(since, self.end)
        elif after == "away" and is_long:
            self.code = self.code or "no_answer"
        self.over("unresolved" if after == "new" else None)

    def _lose(self) -> None:
        since, self.code = self.now, GONE.code
        self.say(lambda user, at: user.lost(at, GONE))
        if not self.wait(self.rng.randint(0, 5)):
            self.paint_absent(since, self.end)
            self.over("absent")
        if self.rng.random() < 0.3:  # the scenario would have taken it away now
            self.paint_absent(since, self.now)
            self._go_away()
        else:
            self._connect("lost", since)

    def _go_away(self) -> None:
        self.say(lambda user, at: user.asked_away(at))
        if not self.wait(self.rng.randint(0, 8)):
            self.over(None)
        self._connect("away")

    def _join(self) -> None:
        start = self.now
        self.say(lambda user, at: user.join(at, "hall"))
        if not self.wait(self.rng.randint(1, 9)):
            if self.end - start >= GRACE:
                self.code = "join_unanswered"
                self.paint_absent(start, self.end)
            self.waits_for = "join_unanswered"
            self.over(None if self.entered else "unresolved")
        luck = self.rng.random()
        if luck < 0.5:
            self.entered = True
            self.say(lambda user, at: user.joined(at, PLACE))
            self.paint(start, self.now, present=True)
        elif luck < 0.7:
            self.code = GONE.code
            self.say(lambda user, at: user.lost(at, GONE))
            self._connect("lost", start)
        else:
            self.code = FULL.code
            self.say(lambda user, at: user.join_failed(at, PLACE, "hall", FULL))
            self._begin_again(start)

    def _begin_again(self, since: int) -> None:
        """The flow begins again, until the join succeeds."""
        while True:
            if self._steps([lambda user, at: user.attempt(at)]):
                outcome = self.rng.choice(["refused", "early", "full", "joined"])
                if outcome == "refused" and self._steps([lambda user, at: user.failed(at, BUSY)]):
                    continue
                if self._steps([lambda user, at: user.confirmed(at)]):
                    if outcome == "early" and self._steps([lambda user, at: user.lost(at, GONE)]):
                        continue
                    start = self.now
                    if self._steps([lambda user, at: user.join(at, "hall")]):
                        if outcome == "joined":
                            self.entered = True
                            self.say(lambda user, at: user.joined(at, PLACE + 1))
                            self.paint_absent(since, start)
                            self.paint(start, self.now, present=True)
                            self.back(resumed=False)
                            return
                        if self._steps([lambda user, at: user.join_failed(at, PLACE, "hall", FULL)]):
                            continue
            self.paint_absent(since, self.end)
            self.over("absent")

    def _steps(self, tells: list[Callable[[Presence, int], None]]) -> bool:
        """Let something happen, and time pass; False when the end comes first."""
        for tell in tells:
            self.say(tell)
            if not self.wait(self.rng.randint(0, 4)):
                return False
        return True
