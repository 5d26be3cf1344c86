"""What of an attendance the scenario allows, and the end of a run for users who wait for an answer."""

from __future__ import annotations

import pytest

from rtcli.load.accounts.absences import AbsenceGroup, AbsenceKey, AbsenceKind, Cause
from rtcli.load.accounts.attendance import Attendance, RoleCount, WorkerAttendance
from rtcli.load.accounts.users_account import RunAttendance
from rtcli.load.scenario.model import Scenario
from tests.support.load.runs import scenario

SECOND = 1_000_000


def hall(role: str = "", top: str = "") -> Scenario:
    return scenario(f"""
        name: hall
        phases: [{{ name: calm, for: 6s }}, {{ name: storm, for: 4s }}]
        {top}
        roles:
          reader: {{ users: 100, {role} flow: [connect, {{ join: lobby }}, hold] }}
        """)


def worker(
    absent: int = 0,
    away_us: int = 0,
    *,
    code: str = "http_503",
    kind: AbsenceKind = "absent",
    own: bool = False,
) -> WorkerAttendance:
    """A hundred readers, each planned for ten seconds."""
    there = absent if kind == "absent" else 0
    planned = [600 * SECOND, 400 * SECOND]
    count = RoleCount(100, 100 - there, 0, planned, [planned[0], planned[1] - away_us])
    groups = [
        AbsenceGroup(AbsenceKey(kind, "reader", code, "why", own, "", "storm"), absent, [], 0, 9, away_us),
        AbsenceGroup(AbsenceKey("missed", "reader", code, "why", own, "lobby", "storm"), 7 * absent),
    ]
    return WorkerAttendance({"reader": count}, groups if absent else [])


@pytest.mark.parametrize(
    ("role", "top", "absent", "away_s", "passes"),
    [
        ("", "", 0, 0, True),
        ("", "", 1, 0.1, False),  # with the default, nobody may be absent
        ("", "attendance: 99%", 1, 0.1, False),
        ("", "attendance: 95%", 5, 40, True),
        ("", "attendance: 95%", 6, 40, False),  # too many users
        ("", "attendance: 95%", 5, 51, False),  # for too long
        ("attendance: 80%,", "", 20, 40, True),  # 1 - 0.8 is less than 0.2
        ("attendance: 90%,", "attendance: 95%", 6, 40, True),
        ("attendance: 95%,", "attendance: 90%", 6, 40, False),
        ("attendance: off,", "", 100, 400, True),
        ("", 'attendance: "off"', 100, 400, True),
        ("expect_errors: [http_503],", "", 100, 400, True),
        ("expect_errors: [http_502],", "", 1, 1, False),
        ("expect_errors: [{ code: http_503, share: 5% }],", "", 5, 40, True),
        ("expect_errors: [{ code: http_503, share: 5% }],", "", 6, 40, False),
        ("expect_errors: [{ code: http_503, phase: storm, share: 5% }],", "", 5, 40, True),
        ("expect_errors: [{ code: http_503, phase: calm }],", "", 5, 40, False),
    ],
)
def test_what_a_scenario_allows(role: str, top: str, absent: int, away_s: float, passes: bool) -> None:
    attendance = RunAttendance(hall(role, top), [worker(absent, round(away_s * SECOND))], 0)
    users, deliveries = attendance.users(), attendance.deliveries(expected=1000, delivered=1000)
    assert (users.planned, users.present) == (100, 100 - absent)
    assert deliveries.planned - deliveries.delivered == deliveries.missed == 7 * absent
    short = [item for item in (*users.shortfalls, *deliveries.shortfalls) if not item.allowed]
    assert bool(short) is not passes
    assert len(short) in {0, 2}


def test_interruptions_fail_only_by_the_time_that_they_take() -> None:
    little = RunAttendance(hall(), [worker(50, 9 * SECOND, kind="interrupted")], 0).users()
    much = RunAttendance(hall(), [worker(50, 11 * SECOND, kind="interrupted")], 0).users()
    assert [item.allowed for item in (*little.shortfalls, *much.shortfalls)] == [True, False]
    assert [role.is_short for role in (*little.roles, *much.roles)] == [False, True]


def test_what_the_generator_caused_is_not_held_against_the_server() -> None:
    attendance = RunAttendance(hall(), [worker(9, 90 * SECOND, own=True, code="generator_ports")], 0)
    users = attendance.users()
    assert users.roles[0].share == 1.0
    assert [(item.own, item.allowed) for item in users.shortfalls] == [(True, False)]


def test_losses_that_are_allowed_may_be_missed() -> None:
    loose = scenario("""
        name: hall
        phases: [{ name: calm, for: 6s }, { name: storm, for: 4s }]
        roles: { reader: { users: 100, flow: [connect, { join: lobby }, hold] } }
        audit: { delivery: at-most-once }
        """)
    attendance = RunAttendance(loose, [worker(9, SECOND)], 0)
    assert all(not item.allowed for item in attendance.users().shortfalls)
    assert all(item.allowed for item in attendance.deliveries(expected=1, delivered=1).shortfalls)


def test_slow_is_not_absent_at_the_end_of_a_run() -> None:
    def pending(slowest: int, waits: int) -> int:
        attendance = Attendance(0, [("all", 100 * SECOND)], keep=1)
        quick = attendance.begin("reader 1", "reader", 100 * SECOND, rooms=tuple)
        quick.attempt(0)
        quick.confirmed(slowest)
        late = attendance.begin("reader 2", "reader", 100 * SECOND, rooms=tuple)
        late.attempt(50 * SECOND - waits)
        attendance.close(50 * SECOND)
        return attendance.roles["reader"].planned - attendance.roles["reader"].present

    assert pending(SECOND // 10, SECOND - 1) == 0
    assert pending(SECOND // 10, SECOND) == 1
    assert pending(3 * SECOND, 5 * SECOND) == 0
    assert pending(3 * SECOND, 6 * SECOND) == 1


def cut_off(in_time: int, stay_us: int, *, joins: bool, cut_short: bool = False) -> RunAttendance:
    """So many visitors are let in, and ten get no answer before their part is over."""
    attendance = Attendance(0, [("calm", 6 * SECOND), ("storm", 10 * SECOND)], keep=1)
    for number in range(10 + in_time):
        user = attendance.begin(f"reader {number}", "reader", 9 * SECOND, rooms=tuple)
        user.attempt(SECOND)
        if joins or number >= 10:
            user.confirmed(SECOND)
            user.join(SECOND, "lobby")
        if number >= 10:
            user.joined(SECOND, 2)
        attendance.end_part(user, SECOND + stay_us)
    return RunAttendance(hall(), [attendance.export()], 0, cut_short=cut_short)


@pytest.mark.parametrize("joins", [False, True])
@pytest.mark.parametrize(
    ("in_time", "stay_us", "cut_short", "absent"),
    [
        (90, SECOND, False, 10),  # they have waited long enough
        (90, SECOND - 1, False, 0),
        (10, SECOND - 1, False, 0),
        (9, SECOND - 1, False, 10),  # more than were let in
        (0, SECOND - 1, True, 0),  # somebody stopped the run
        (0, SECOND, True, 10),
    ],
)
def test_a_part_that_ends_says_nothing_of_a_request_that_has_just_begun(
    in_time: int,
    stay_us: int,
    absent: int,
    *,
    joins: bool,
    cut_short: bool,
) -> None:
    attendance = cut_off(in_time, stay_us, joins=joins, cut_short=cut_short)
    users = attendance.users()
    assert users.planned - users.present == sum(item.count for item in users.shortfalls) == absent
    assert attendance.unresolved["reader"] == 10 - absent
    assert users.present == in_time
    assert {item.code for item in users.shortfalls} <= {"join_unanswered" if joins else "no_answer"}


def kept_out(
    came_in: int, *, unanswered: int = 0, stalled: int = 0, started_late: int = 0, unstarted: int = 0
) -> RunAttendance:
    """Visitors with a stay of 100 µs, of whom some are let in; the others by why nothing is known of them."""
    stalls = {200: 51}  # from when, for how long
    attendance = Attendance(
        0,
        [("calm", 6 * SECOND), ("storm", 10 * SECOND)],
        keep=0,
        stood_still=lambda since, _until: stalls.get(since, 50),
    )
    for number in range(came_in + unanswered + stalled + started_late):
        is_stalled = came_in + unanswered <= number < came_in + unanswered + stalled
        is_late = number >= came_in + unanswered + stalled
        began = 200 if is_stalled else 100
        user = attendance.begin(f"reader {number}", "reader", 10 * SECOND, rooms=tuple)
        user.late = 1 if is_late else 0
        user.attempt(began)
        if number < came_in:
            user.confirmed(began)
        attendance.end_part(user, began + 100)
    for number in range(unstarted):
        attendance.over_before_start(f"reader {1000 + number}", "reader", 100, 200)
    return RunAttendance(hall(), [attendance.export()], 0)


@pytest.mark.parametrize(
    ("came_in", "unknown", "absent"),
    [
        (4, {"unanswered": 4}, {}),
        (3, {"unanswered": 4}, {"no_answer": 4}),
        (4, {"unstarted": 4}, {}),
        (3, {"unstarted": 4}, {"generator_late": 4}),
        (3, {"stalled": 4}, {"generator_stalled": 4}),
        (3, {"started_late": 4}, {"generator_stalled": 4}),
        (4, {"unanswered": 2, "stalled": 1, "unstarted": 1}, {}),
        (3, {"unanswered": 2, "stalled": 1, "unstarted": 1}, {"generator_stalled": 1, "generator_late": 1}),
        (3, {"unanswered": 4, "stalled": 7}, {"no_answer": 4}),
        (3, {"unanswered": 4, "stalled": 8}, {"no_answer": 4, "generator_stalled": 8}),
    ],
)
def test_whom_the_generator_kept_out_says_nothing_of_the_server(
    came_in: int, unknown: dict[str, int], absent: dict[str, int]
) -> None:
    attendance = kept_out(came_in, **unknown)
    users = attendance.users()
    assert {item.code: item.count for item in users.shortfalls} == absent
    assert users.planned - users.present == sum(absent.values())
    assert users.present == came_in
    assert attendance.unresolved["reader"] == sum(unknown.values()) - sum(absent.values())
    assert {item.code for item in users.shortfalls if item.by_generator} == set(absent) - {"no_answer"}


def test_who_tries_after_the_end_of_its_part_was_away_for_no_time() -> None:
    attendance = Attendance(0, [("calm", SECOND)], keep=0)
    user = attendance.begin("reader 1", "reader", 100, rooms=tuple)
    user.attempt(150)
    attendance.close(SECOND)
    (group,) = attendance.groups.all()
    assert (group.key.kind, group.absent_us, group.first, group.last) == ("unresolved", 0, 100, 100)


@pytest.mark.parametrize(("users", "passes"), [(5, True), (6, False)])
def test_a_share_counts_users_and_not_their_absences(users: int, *, passes: bool) -> None:
    """Of a hundred users, five may be refused; each of them is, in both phases and in the end."""
    attendance = Attendance(0, [("calm", 6 * SECOND), ("storm", 10 * SECOND)], keep=0)
    for number in range(100):
        user = attendance.begin(f"reader {number}", "reader", 10 * SECOND, rooms=tuple)
        user.attempt(0)
        user.confirmed(0)
        for start in (SECOND, 7 * SECOND, 8 * SECOND, 9 * SECOND) if number < users else ():
            user.lost(start, Cause("http_503", "refused"))
            if start < 9 * SECOND:
                user.attempt(start)
                user.confirmed(start + SECOND // 2)
    attendance.close(10 * SECOND)
    account = RunAttendance(
        hall("expect_errors: [{ code: http_503, share: 5% }],"), [attendance.export()], 0
    ).users()
    assert [item.count for item in account.shortfalls] == [users] * 3
    assert all(item.allowed for item in account.shortfalls) is passes
