"""What one user reports of itself, and what the account of sends asks of it."""

from __future__ import annotations

from rtcli.load.accounts.absences import Cause
from rtcli.load.accounts.attendance import Attendance
from rtcli.load.accounts.presence import Presence, State

LOST = Cause("close_1006", "the connection broke off (1006)")
REFUSED = Cause("http_503", "the server answered 503 to the handshake")


def present() -> Presence:
    """A user that is connected since 0."""
    user = Attendance(0, [("run", 1000)], keep=0).begin("reader 1", "reader", 1000, rooms=tuple)
    user.attempt(0)
    user.confirmed(0)
    return user


def test_an_attempt_that_the_scenario_cuts_off_has_not_failed() -> None:
    user = present()
    user.asked_away(100)
    user.attempt(200)
    user.asked_away(250)  # a cut, while it connects again
    user.failed(251, LOST)
    assert user.state is State.AWAY
    user.attempt(300)
    user.failed(350, REFUSED)
    assert user.is_absent


def test_the_last_absence_is_told_when_it_is_over() -> None:
    user = present()
    assert (user.absence_cause, user.absent(50)) == (None, [])
    user.lost(100, LOST)
    assert (user.absence_cause, user.absent(150)) == (LOST, [(100, 150)])
    user.attempt(200)
    user.confirmed(230, resumed=True)
    assert (user.absence_cause, user.absent(500)) == (LOST, [(100, 230)])
    user.lost(600, REFUSED)
    user.finish(900, grace=0)
    assert (user.absence_cause, user.absent(950)) == (REFUSED, [(600, 900)])
