"""The account of sends, beside a list of everything that happened, counted in the plainest way."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.load.accounts.sends import (
    MAX_GROUPS,
    MAX_PLANNED,
    Outcome,
    Sends,
    UnsentKey,
    UnsentMessage,
    WorkerSends,
)
from rtcli.load.accounts.sends_account import RunSends
from rtcli.load.results.accounts import SendsAccount, Shortfall
from tests.support.load.runs import scenario

BASE = 1_000_000
PHASES = [("calm", BASE + 1_000_000), ("peak", BASE + 2_000_000), ("drain", BASE + 2_500_000)]
TEXT = """
    name: sends
    phases: [{ name: calm, for: 1s }, { name: peak, for: 1s }, { name: drain, for: 500ms }]
    roles:
      writer: { users: 9, flow: [connect, { join: a }, hold], expect_errors: [EXPECTED] }
      other: { users: 9, flow: [connect, { join: a }, hold] }
"""


class Happened(NamedTuple):
    """One message that was due, and what became of it."""

    role: str
    number: int  # of the user
    due: int  # µs since the start
    outcome: str
    code: str = ""
    sent: bool = False


def phase_of(us: int) -> str:
    return next((name for name, end in PHASES if BASE + us < end), "drain")


def book(*, keep: int = 1000) -> Sends:
    return Sends(BASE, PHASES, phase_of_bin=phase_of, keep=keep)


def record(sends: Sends, event: Happened) -> None:
    match event.outcome:
        case "accepted":
            sends.role(event.role).acknowledged[event.due] += 1
        case "unconfirmed":
            sends.role(event.role).unconfirmed[event.due] += 1
        case "excused":
            sends.excused(event.role, BASE + event.due, sent=event.sent)
        case "refused" | "unanswered" | "not_sendable":
            key = UnsentKey(event.outcome, event.role, event.code, f"it was {event.code}", "")
            at = BASE + event.due
            sent = at if event.sent else None
            sends.unsent(key, UnsentMessage(f"{event.role} {event.number}", "a", at, sent=sent))


def account(workers: list[Sends], *, expected: str = "", judged: str = "on") -> SendsAccount:
    described = scenario(TEXT.replace("EXPECTED", expected or "never") + f"    sends: {judged}\n")
    return RunSends(described, [travelled(worker.export()) for worker in workers], BASE).account()


def travelled(worker: WorkerSends) -> WorkerSends:
    """What the coordinator gets of it."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(worker), type=WorkerSends)


CODES = ("rate_limited", "http_503", "close_1006", "no_answer")
EVENTS = st.builds(
    Happened,
    role=st.sampled_from(["writer", "other"]),
    number=st.integers(1, 9),
    due=st.integers(0, 3_000_000),
    outcome=st.sampled_from(
        ["accepted", "accepted", "unconfirmed", "excused", "refused", "unanswered", "not_sendable"]
    ),
    code=st.sampled_from(CODES),
    sent=st.booleans(),
)


@given(st.lists(st.tuples(EVENTS, st.integers(0, 2), st.booleans()), max_size=80))
def test_every_message_is_counted_once_in_its_place(events: list[tuple[Happened, int, bool]]) -> None:
    workers = [book(), book(), book()]
    for event, worker, fold in events:
        record(workers[worker], event)
        if fold:
            workers[worker].fold()
    found = account(workers, expected="rate_limited, { code: http_503, share: 10%, phase: peak }")
    happened = [event for event, _, _ in events]
    unsent = [it for it in happened if it.outcome in {"refused", "unanswered", "not_sendable"}]
    outcomes = Counter(it.outcome for it in happened)
    assert found.due == len(happened)
    assert found.accepted == outcomes["accepted"] + outcomes["unconfirmed"]
    assert found.unconfirmed == outcomes["unconfirmed"]
    assert found.acks is not any(it.outcome == "unconfirmed" for it in happened)
    assert found.refused == Counter(it.code for it in happened if it.outcome == "refused")
    assert (found.unanswered, found.not_sendable) == (outcomes["unanswered"], outcomes["not_sendable"])
    assert found.excused == outcomes["excused"]
    assert found.sent == found.accepted + sum(it.sent for it in happened if it.outcome not in ACCEPTED)
    assert {key_of(it): it.count for it in found.shortfalls} == Counter(
        (it.role, it.code, phase_of(it.due), it.outcome) for it in unsent
    )
    for shortfall in found.shortfalls:
        check_group(shortfall, unsent, happened)


ACCEPTED = {"accepted", "unconfirmed"}


def key_of(shortfall: Shortfall) -> tuple[str, str, str, str]:
    return shortfall.role, shortfall.code, shortfall.phase, shortfall.outcome


def check_group(shortfall: Shortfall, unsent: list[Happened], happened: list[Happened]) -> None:
    mine = [it for it in unsent if (it.role, it.code, phase_of(it.due), it.outcome) == key_of(shortfall)]
    assert (shortfall.first, shortfall.last) == (
        min(it.due for it in mine) / 1e6,
        max(it.due for it in mine) / 1e6,
    )
    names = {f"{it.role} {it.number}" for it in mine}
    assert set(shortfall.who) <= names
    assert len(shortfall.who) == len(set(shortfall.who)) == min(5, len(names))
    due = [
        it
        for it in happened
        if it.role == "writer" and phase_of(it.due) == "peak" and it.outcome != "excused"
    ]
    too_busy = [it for it in due if it.code == "http_503" and it.outcome not in ACCEPTED]
    assert shortfall.allowed is (
        shortfall.role == "writer"
        and (
            shortfall.code == "rate_limited"
            or (
                shortfall.code == "http_503" and shortfall.phase == "peak" and len(too_busy) <= 0.1 * len(due)
            )
        )
    )


def test_messages_that_a_user_did_not_come_to_are_counted_by_phase() -> None:
    sends = book()
    key = UnsentKey("not_sendable", "writer", "http_503", "the server answered 503", "")
    sends.not_reached(key, UnsentMessage("writer 1", "a", BASE + 200_000), 7, BASE + 900_000)
    sends.not_reached(key, UnsentMessage("writer 1", "b", BASE + 1_100_000), 1, BASE + 1_100_000)
    found = account([sends])
    assert [(it.phase, it.count, it.first, it.last, it.room) for it in found.shortfalls] == [
        ("calm", 7, 0.2, 0.9, "a"),
        ("peak", 1, 1.1, 1.1, "b"),
    ]
    assert (found.due, found.sent, found.not_sendable) == (8, 0, 8)


def test_evidence_is_kept_of_what_is_not_allowed_up_to_a_number() -> None:
    sends = book(keep=5)
    for number in range(8):
        outcome: Outcome = "refused" if number % 2 else "unanswered"
        code = "rate_limited" if number % 2 else "no_answer"
        key = UnsentKey(outcome, "writer", code, "the server said no", "")
        at = BASE + number * 1000
        sends.unsent(key, UnsentMessage("writer 1", "a", at, number=number + 1, sent=at + 500))
    described = scenario(TEXT.replace("EXPECTED", "rate_limited"))
    rows = RunSends(described, [travelled(sends.export())], BASE).evidence()
    assert [(row.kind, row.message, row.room, row.sent) for row in rows] == [
        ("unsent", "writer 1 #1", "a", 0.0005),
        ("unsent", "writer 1 #3", "a", 0.0025),
        ("unsent", "writer 1 #5", "a", 0.0045),
    ]
    assert rows[0].detail == "due at 0.000 s (no_answer)"
    off = scenario(TEXT.replace("EXPECTED", "rate_limited") + "    sends: off\n")
    assert not RunSends(off, [sends.export()], BASE).evidence()


def test_a_worker_looks_at_a_limited_number_of_planned_messages() -> None:
    sends = book()
    assert sum(1 for _ in sends.within_limit(range(MAX_PLANNED - 1))) == MAX_PLANNED - 1
    assert list(sends.within_limit([1, 2])) == [1]
    assert list(sends.within_limit([1])) == []
    assert sends.limit_is_reached


def test_what_it_does_not_look_at_is_estimated_by_role() -> None:
    sends = book()
    sends.add_planned("writer", 30, 10.0)
    sends.add_planned("writer", 10, 10.0)
    assert sends.estimate("writer", 5.0) == 10
    assert sends.estimate("reader", 5.0) == 0


def test_a_server_that_invents_codes_fills_no_memory() -> None:
    sends = book(keep=0)
    for number in range(3 * MAX_GROUPS):
        key = UnsentKey("refused", "writer", f"code_{number}", "refused", "")
        sends.unsent(key, UnsentMessage("writer 1", "a", BASE + number))
    found = account([sends, sends])
    assert len(found.shortfalls) <= MAX_GROUPS + 3
    assert found.due == 6 * MAX_GROUPS
    assert all(first.count >= second.count for first, second in pairwise(found.shortfalls))


@pytest.mark.parametrize("judged", ["on", "off"])
def test_the_account_says_whether_it_is_judged(judged: str) -> None:
    assert account([book()], judged=judged).judged is (judged == "on")
