"""The attendance of random users against time lines that are painted by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from rtcli.load.accounts.absences import AbsenceGroups
from rtcli.load.accounts.attendance import Attendance
from tests.support.load.attendance_world import GRACE, ROOMS, UNIT, Story

PHASES = (("calm", 20), ("storm", 45), ("drain", 90))


@pytest.fixture
def seeds(soak: bool) -> range:
    return range(100_000 if soak else 3_000)


def play(story: Story, name: str, attendance: Attendance) -> None:
    user = attendance.begin(name, "reader", story.end * UNIT, rooms=lambda: ROOMS)
    for at, tell in story.events:
        tell(user, at)
    user.finish(story.end * UNIT, grace=GRACE * UNIT)


def new_attendance() -> Attendance:
    return Attendance(0, [(name, end * UNIT) for name, end in PHASES], keep=3)


def test_times_and_outcomes_are_those_of_the_time_line(seeds: range) -> None:
    for seed in seeds:
        story, attendance = Story(seed), new_attendance()
        play(story, "reader 1", attendance)
        role = attendance.export().roles["reader"]
        start = 0
        for phase, (_, end) in enumerate(PHASES):
            cells = Counter(story.cells[start:end])
            assert role.planned_us[phase] == (cells[True] + cells[False]) * UNIT, seed
            assert role.present_us[phase] == cells[True] * UNIT, seed
            start = end
        groups = attendance.groups.all()
        found = Counter({(group.key.kind, group.key.code): group.count for group in groups})
        wanted = Counter({("interrupted", code): 1 for code in story.interruptions})
        if story.outcome is not None:
            wanted[story.outcome, story.code if story.outcome == "absent" else story.waits_for] += 1
        assert found == wanted, seed
        absent = sum(group.absent_us for group in groups if group.key.kind != "unresolved")
        assert absent == story.cells.count(False) * UNIT, seed
        assert [(it.room, it.start, it.end) for it in attendance.stretches] == story.missed, seed
        is_counted = bool(story.events) and story.outcome != "unresolved"
        assert (role.planned, role.present) == (is_counted, is_counted and story.outcome is None), seed
        assert role.interrupted == (story.outcome is None and bool(story.interruptions)), seed


def test_users_and_workers_add_up() -> None:
    stories = [Story(seed) for seed in range(400)]
    together, apart = new_attendance(), [new_attendance(), new_attendance(), new_attendance()]
    for number, story in enumerate(stories):
        play(story, f"reader {number + 1}", together)
        play(story, f"reader {number + 1}", apart[number % 3])
    role, groups = apart[0].roles["reader"], AbsenceGroups()
    for other in apart[1:]:
        role.add(other.roles["reader"])
    for worker in apart:
        for group in worker.groups.all():
            groups.merge(group)
    assert role == together.roles["reader"]
    whole = {group.key: group for group in together.groups.all()}
    parts = {group.key: group for group in groups.all()}
    assert parts.keys() == whole.keys()
    for key, group in whole.items():
        part = parts[key]
        assert (part.count, part.absent_us, part.first, part.last) == (
            group.count,
            group.absent_us,
            group.first,
            group.last,
        )
    assert 0 < len(together.violations) <= 3
