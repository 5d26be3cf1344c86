"""Whether one user is where the scenario wants it to be, from what happens to it.

A user is *planned* from when its flow reaches `connect` to the end of its part, except while it is away
because the scenario asks for that (`cut`, `kill`, `disconnect`, `expect_close`). Of that time it is present
or absent:

- A connect, join or resume that is confirmed counts as present from its start, except after a loss that the
  scenario did not ask for: then the user is absent until it is back.
- An absence that was asked for lasts until the first attempt to return has ended. When that fails, the user
  is absent from then on.
- A user whose join failed begins its flow again. It is absent until it has got as far as that join.

Pure: times are arguments, in whole microseconds of the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

from rtcli.load.accounts.absence import Absence, RoomByPlan
from rtcli.load.accounts.absences import GENERATOR_STALLED, JOIN_UNANSWERED, NO_ANSWER, AbsenceKind, Cause
from rtcli.load.audit.records import Note

_MAX_STRETCHES = 64  # of one absence; messages that are missed in further ones are not counted


class Book(Protocol):
    """Where a user's presence is accounted for."""

    def planned(self, user: Presence, start: int, end: int, *, present: bool) -> None:
        """Account for a time in which the user should be there."""
        ...

    def answered(self, taken: int) -> None:
        """Account for a request that was confirmed after so many µs."""
        ...

    def stood_still(self, since: int, until: int) -> int:
        """For how many µs between two times the load generator itself stood still."""
        ...

    def returned(self, user: Presence, absence: Absence, now: int, *, resumed: bool) -> None:
        """Account for an absence that is over."""
        ...

    def over(self, user: Presence, outcome: AbsenceKind | None, absence: Absence | None, now: int) -> None:
        """Account for the end of a user's part. `outcome` None: it was there."""
        ...


class State(Enum):
    """Where a user is."""

    AWAY = "away"  # before its part, or with leave
    TRYING = "trying"  # a request is under way, and its end tells whether the user has been there meanwhile
    PRESENT = "present"
    ABSENT = "absent"
    OVER = "over"  # its part is over


def _nowhere() -> Sequence[RoomByPlan]:
    return ()


class Presence:
    """The presence of one user. `end` is when its part is over, by plan.

    `rooms` tells in which rooms it should be; it is asked when an absence begins. `due`: it takes part even
    if its flow never connects.
    """

    __slots__ = (
        "_absence", "_asked", "_book", "_knocks", "_last_absence", "_lost", "_place", "_room", "_since",
        "_tried", "_waits_for", "counted", "due", "end", "late", "name", "notes", "role", "rooms", "state",
        "took_part",
    )  # fmt: skip

    def __init__(
        self,
        book: Book,
        name: str,
        role: str,
        end: int,
        *,
        due: bool = False,
        notes: Sequence[Note] = (),
        rooms: Callable[[], Sequence[RoomByPlan]] = _nowhere,
    ) -> None:
        self.name = name
        self.role = role
        self.end = end
        self.due = due
        self.notes = notes  # the latest, for evidence
        self.rooms = rooms
        self.took_part = False
        self.late = 0  # µs by which the load generator was late to start it
        self.state = State.AWAY
        self.counted: set[object] | None = None  # groups that the book has counted this user in
        self._book = book
        self._since = 0  # when the state began
        self._knocks: bool | None = None  # whether it waits for its first room; None: it asked for none yet
        self._asked = False  # it is away because the scenario asked for it
        self._tried: int | None = None  # when the request under way began
        self._waits_for = NO_ANSWER  # the cause, if that stays without an answer
        self._lost = False  # its absence began with a loss
        self._place = -1  # the place in the flow of the join that failed
        self._room = ""  # of the request under way
        self._absence: Absence | None = None
        self._last_absence: Absence | None = None  # which is over

    @property
    def is_absent(self) -> bool:
        """Whether it is absent without leave now."""
        return self.state is State.ABSENT

    @property
    def came_in(self) -> bool:
        """Whether the server has let it in: it was connected, and in a room if it asked for one."""
        return self.took_part and not self._knocks

    @property
    def absence_cause(self) -> Cause | None:
        """Why the user is absent without leave; when it is not, why it was the last time."""
        absence = self._absence or self._last_absence
        return None if absence is None else absence.cause

    def absent(self, now: int) -> list[tuple[int, int]]:
        """From when to when it is absent without leave; when it is not, as it was the last time."""
        absence = self._absence or self._last_absence
        if absence is None:
            return []
        return [*absence.stretches, *([(self._since, now)] if self.is_absent else [])]

    @property
    def unanswered(self) -> Cause:
        """The cause, if the request under way stays without an answer."""
        return self._waits_for

    # -- connecting ----------------------------------------------------------------------------------------

    def attempt(self, now: int, waits_for: Cause = NO_ANSWER) -> None:
        """The user begins to connect. `waits_for`: the cause, if it gets no answer."""
        self.due = True
        self._tried, self._waits_for, self._room = now, waits_for, ""
        if self.state is State.AWAY and not self._asked:
            self._enter(State.TRYING, now)

    def waits(self, cause: Cause) -> None:
        """The attempt has come further: this is the cause if the rest stays without an answer."""
        self._waits_for = cause

    def confirmed(self, now: int, *, resumed: bool = False) -> None:
        """The user is connected. `resumed`: it is in its rooms again, too."""
        tried = self._answered(now)
        if self.state is State.TRYING:
            self._be_present(self._since)
        elif self.state is State.AWAY:
            self._be_present(now, resumed=resumed)
        elif self.state is State.ABSENT and self._place < 0:
            self._be_present(now if self._lost or tried is None else tried, resumed=resumed)

    def failed(self, now: int, cause: Cause) -> None:
        """An attempt to connect has failed. One that the scenario cut off is no attempt that has ended."""
        tried, self._tried = self._tried, None
        if self.state is State.TRYING:
            self._be_absent(self._since, cause, by_attempt=True)
        elif self.state is State.AWAY and self._asked and tried is not None:
            self._be_absent(now, cause, by_attempt=True)
        elif self.state is State.ABSENT and self._absence is not None:
            self._absence.last = cause
            if self._absence.by_attempt:
                self._absence.cause = cause

    def lost(self, now: int, cause: Cause) -> None:
        """The connection is lost, and the scenario did not ask for that."""
        if self.state in {State.PRESENT, State.TRYING}:
            self._be_absent(self._since if self.state is State.TRYING else now, cause, lost=True)
        self._tried = None

    def asked_away(self, now: int) -> None:
        """The scenario takes the user away: it is not planned until its first attempt to return has ended."""
        if self.state is State.OVER:
            return
        if self.state is not State.AWAY:
            self._enter(State.AWAY, now, present=self.state is not State.ABSENT)
        self._asked = True
        self._tried, self._lost = None, False

    # -- rooms ---------------------------------------------------------------------------------------------

    def join(self, now: int, room: str) -> None:
        """The user asks to enter a room."""
        if self.state is State.PRESENT:
            self._enter(State.TRYING, now, present=True)
        elif self.state is not State.ABSENT or self._place < 0:
            return
        if self._knocks is None:
            self._knocks = True
        self._tried, self._room, self._waits_for = now, room, JOIN_UNANSWERED

    def joined(self, now: int, place: int) -> None:
        """The join at this place is confirmed."""
        self._knocks = False
        if self.state is State.TRYING:
            self._answered(now)
            self._be_present(self._since)
        elif self.state is State.ABSENT and 0 <= self._place <= place:
            tried = self._answered(now)
            self._be_present(now if tried is None else tried)

    def join_failed(self, now: int, place: int, room: str, cause: Cause) -> None:
        """The join at this place is refused, or nobody answered it; the flow begins again."""
        if self.state is State.ABSENT and self._absence is not None:
            self._absence.last = cause
        elif self.state in {State.TRYING, State.PRESENT}:
            self._be_absent(self._since if self.state is State.TRYING else now, cause, room=room)
        else:
            return
        self._tried, self._place, self._lost = None, place, False

    # -- the end -------------------------------------------------------------------------------------------

    def flow_failed(self, now: int, cause: Cause) -> None:
        """The flow fails for another reason, and begins again. Before `connect`, too: it should be there."""
        self._tried = None
        if self.state in {State.PRESENT, State.TRYING}:
            self._be_absent(self._since if self.state is State.TRYING else now, cause)
        elif self.state is State.AWAY and not self._asked:
            self.due = True
            self._be_absent(now, cause)

    def finish(self, now: int, *, grace: int) -> None:
        """The user's part is over, or the run is. Call it once.

        A request that is still without an answer makes the user absent if it began at least `grace` µs ago.
        With a later one, nobody knows whether a user that was not let in before would have been. Time in
        which the generator stood still is not the server's.
        """
        if self.state is State.OVER:
            return
        if self._tried is not None and now - self._tried >= grace:
            if now - self._tried - self._book.stood_still(self._tried, now) < grace:
                self._waits_for = GENERATOR_STALLED
            self._stay_unanswered(now)
        elif self.state is State.AWAY and self._asked and not self.took_part:
            self._be_absent(now, self._waits_for)
        outcome: AbsenceKind | None = None
        if self.state is State.TRYING and not self.came_in:
            since = min(self._since, now)  # it may have been too late for its own end
            outcome, self._absence = "unresolved", Absence(self._why_unresolved(since, now), since, "", [])
            self._absence.stretches.append((since, now))
            self._absence.absent_us = now - since
        elif self.state is not State.TRYING:
            self._enter(State.OVER, now, present=self.state is State.PRESENT)
            outcome = None if self._absence is None else "absent"
        self.state = State.OVER
        self._book.over(self, outcome, self._absence, now)
        if outcome == "absent":
            self._last_absence = self._absence
        self._absence = None

    def _why_unresolved(self, since: int, now: int) -> Cause:
        """Why it was not let in by the end of its part: the generator, if that took most of the time."""
        waited = now - since
        for_server = waited - self._book.stood_still(since, now)
        return GENERATOR_STALLED if 2 * for_server < waited + self.late else self._waits_for

    def _stay_unanswered(self, now: int) -> None:
        """The request under way has been without an answer for too long."""
        if self.state is State.TRYING:
            self._be_absent(self._since, self._waits_for, room=self._room)
        elif self.state is State.AWAY:
            self._be_absent(now, self._waits_for)
        elif self._absence is not None:
            self._absence.last = self._waits_for

    # -- transitions ---------------------------------------------------------------------------------------

    def _answered(self, now: int) -> int | None:
        """Forget the request under way; returns when it began."""
        tried, self._tried, self._room = self._tried, None, ""
        if tried is not None:
            self._book.answered(now - tried)
        return tried

    def _be_present(self, since: int, *, resumed: bool = False) -> None:
        if self.state is State.ABSENT:
            self._enter(State.PRESENT, since, present=False)
        elif self.state is State.TRYING:
            self.state = State.PRESENT
        else:
            self._enter(State.PRESENT, since)
        self.took_part = True
        self._asked, self._lost, self._place = False, False, -1
        absence, self._absence = self._absence, None
        if absence is not None:
            self._last_absence = absence
            self._book.returned(self, absence, since, resumed=resumed)

    def _be_absent(
        self, since: int, cause: Cause, *, room: str = "", lost: bool = False, by_attempt: bool = False
    ) -> None:
        self._enter(State.ABSENT, since, present=self.state is State.PRESENT)
        self._asked, self._lost = False, lost
        if self._absence is None:
            self._absence = Absence(cause, since, room, self.rooms())
            self._absence.by_attempt = by_attempt
        else:
            self._absence.last = cause

    def _enter(self, state: State, now: int, *, present: bool = False) -> None:
        """Account for the state so far, and enter another."""
        if self.state in {State.PRESENT, State.TRYING, State.ABSENT} and now > self._since:
            self._book.planned(self, self._since, now, present=present)
            if self.state is State.ABSENT and self._absence is not None:
                self._absence.absent_us += now - self._since
                if len(self._absence.stretches) < _MAX_STRETCHES:
                    self._absence.stretches.append((self._since, now))
        self.state, self._since = state, now
