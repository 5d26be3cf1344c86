"""The checker itself: it finds every broken guarantee, and nothing in a clean run."""

from __future__ import annotations

import pytest

from rtcli.protocol.position import Position
from tests.support.checker import Outcome, Receiver, Sent, check

ROOM = "general"


def at(offset: int, epoch: str = "aaaa") -> Position:
    return Position(epoch, offset)


def clean() -> tuple[list[Sent], list[Receiver]]:
    sent = [Sent(f"m{n}", ROOM, Outcome.ACKNOWLEDGED, at(n)) for n in range(1, 6)]
    sent += [Sent("lost-answer", ROOM, Outcome.UNKNOWN), Sent("refused", ROOM, Outcome.REFUSED)]
    events = [(f"m{n}", at(n)) for n in range(1, 6)] + [("lost-answer", at(6))]
    return sent, [Receiver(name, ROOM, at(0), list(events)) for name in ("r1", "r2")]


def rules(sent: list[Sent], receivers: list[Receiver]) -> set[tuple[str, str]]:
    return {(violation.rule, violation.receiver) for violation in check(sent, receivers).violations}


def test_a_clean_run_has_no_violation() -> None:
    verdict = check(*clean())
    assert verdict.violations == []
    assert (verdict.acknowledged, verdict.unknown, verdict.refused, verdict.deliveries) == (5, 1, 1, 12)
    assert "0 violations" in verdict.summary()


def test_a_late_joiner_owes_nothing_before_its_start() -> None:
    sent, receivers = clean()
    receivers.append(Receiver("late", ROOM, at(3), receivers[0].events[3:]))
    assert check(sent, receivers).violations == []


@pytest.mark.parametrize("told", ["gap", "epoch"])
def test_a_declared_gap_is_counted_and_allowed(told: str) -> None:
    sent, receivers = clean()
    del receivers[0].events[1]
    if told == "gap":
        receivers[0].gaps.append(("aaaa", 2, 2))
    else:
        receivers[0].left_behind.add("aaaa")
    verdict = check(sent, receivers)
    assert verdict.violations == []
    assert verdict.declared_lost == 1


def test_a_gap_for_other_offsets_excuses_nothing() -> None:
    sent, receivers = clean()
    del receivers[0].events[1]
    receivers[0].gaps += [("aaaa", 3, 9), ("bbbb", 1, 9)]
    assert rules(sent, receivers) == {("acknowledged means delivered", "r1")}


def test_a_missing_delivery_is_found() -> None:
    sent, receivers = clean()
    del receivers[1].events[4]
    assert rules(sent, receivers) == {("acknowledged means delivered", "r2")}


def test_a_swap_is_found() -> None:
    sent, receivers = clean()
    events = receivers[0].events
    events[1], events[2] = events[2], events[1]
    assert rules(sent, receivers) == {("offsets rise", "r1")}


def test_a_repeat_is_found() -> None:
    sent, receivers = clean()
    receivers[0].events.append(("m5", at(7)))
    assert rules(sent, receivers) == {("nothing twice", "r1"), ("one place each", "r1")}


def test_two_logs_are_found() -> None:
    sent, receivers = clean()
    receivers[1].events[0] = ("lost-answer", at(1))
    del receivers[1].events[5]
    assert ("one order for all", "r2") in rules(sent, receivers)


def test_an_epoch_that_returns_is_found() -> None:
    sent, receivers = clean()
    sent += [Sent("other", ROOM, Outcome.ACKNOWLEDGED, at(1, "bbbb")), Sent("back", ROOM, Outcome.UNKNOWN)]
    for receiver in receivers:
        receiver.events.append(("other", at(1, "bbbb")))
    receivers[0].events.append(("back", at(8)))
    assert rules(sent, receivers) == {("an epoch never returns", "r1")}


def test_what_was_refused_or_never_sent_is_found() -> None:
    sent, receivers = clean()
    receivers[0].events.append(("refused", at(7)))
    receivers[1].events.append(("phantom", at(8)))
    assert rules(sent, receivers) == {
        ("nothing that was refused", "r1"),
        ("nothing that was not sent there", "r2"),
    }


def test_a_log_that_forgets_may_repeat_a_publish_in_its_next_epoch_alone() -> None:
    sent, receivers = clean()
    for receiver in receivers:
        receiver.events.append(("lost-answer", at(1, "bbbb")))
    assert {rule for rule, _ in rules(sent, receivers)} == {"nothing twice", "one place each"}
    assert check(sent, receivers, forgetful=True).violations == []
    receivers[0].events.append(("lost-answer", at(2, "bbbb")))
    found = {violation.rule for violation in check(sent, receivers, forgetful=True).violations}
    assert found == {"nothing twice", "one place each"}
