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


def test_a_flow_that_fails_before_it_connects_makes_the_user_absent() -> None:
    attendance = Attendance(0, [("run", 1000)], keep=0)
    user = attendance.begin("reader 1", "reader", 1000, rooms=tuple)
    user.flow_failed(100, REFUSED)
    user.attempt(300)
    assert (user.is_absent, user.absence_cause) == (True, REFUSED)
    user.confirmed(400)
    assert user.state is State.PRESENT
    late = attendance.begin("reader 2", "reader", 1000, rooms=tuple)
    late.flow_failed(100, REFUSED)
    attendance.close(1000)
    role = attendance.roles["reader"]
    assert (role.planned, role.present, role.interrupted) == (2, 1, 1)
    assert {(group.key.kind, group.key.code, group.absent_us) for group in attendance.groups.all()} == {
        ("interrupted", "http_503", 200),
        ("absent", "http_503", 900),
    }


def test_a_flow_that_fails_away_with_leave_changes_nothing() -> None:
    user = present()
    user.asked_away(100)
    user.flow_failed(200, REFUSED)
    assert user.state is State.AWAY


def test_who_was_never_let_in_is_absent_even_when_taken_away() -> None:
    attendance = Attendance(0, [("run", 1000)], keep=0)
    user = attendance.begin("reader 1", "reader", 1000, rooms=tuple)
    user.attempt(100)
    user.asked_away(150)
    publisher = attendance.begin("publisher 1", "publisher", 1000, due=True, rooms=tuple)
    attendance.close(1000)
    assert publisher.state is user.state is State.OVER
    assert [(group.key.kind, group.key.role) for group in attendance.groups.all()] == [("absent", "reader")]
