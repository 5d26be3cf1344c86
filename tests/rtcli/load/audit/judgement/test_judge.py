"""What the judgement costs: it is made at once when a run is over, and long runs have many users."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import count
from types import FrameType

import pytest

from rtcli.load.audit.audit import Audit
from rtcli.load.audit.judgement.judge import Judge
from rtcli.load.audit.records import Delivery, Subscriber
from rtcli.protocol.position import Position

SECOND = 1_000_000


def visited(visitors: int, *, ordered: bool, loses: bool) -> Judge:
    """After one visitor after the other was in a room: each has sent two messages, and received them."""
    audit = Audit(1, 0, delivery_key_of=lambda _intended, _lag: 0, on_complete=lambda _entry, _took: None)
    for number in range(1, visitors + 1):
        now = number * SECOND
        user = Subscriber(f"visitor {number}")
        member = audit.join(user, "lobby", now, counts=Counter())
        audit.joined(member, now + 10)
        log = audit.open_log(user.name, "lobby")
        for place in range(2):
            sent = now + 100 + 200 * place
            position = Position("epoch", 2 * number + place) if ordered else None
            _, token = audit.send(log, sent, sent)
            audit.receive(Delivery(user, "lobby", token, position, sent + 50, b""))
            audit.acknowledge(log, place, sent + 90, position)
        if loses:
            audit.lost(member, now + 600)
            audit.given_up(user, member, now + 600)
        else:
            audit.left(user, member, now + 600)
        audit.sweep(now + SECOND, patience=SECOND // 10)  # as each second of a run
    return Judge(audit, (visitors + 1) * SECOND, patience=SECOND, self_echo=True)


def calls_of(judge: Judge) -> int:
    """How many calls, of our functions and of built-in ones, a judgement takes."""
    calls = count()

    def profile(_frame: FrameType, event: str, _argument: object) -> None:
        if event in {"call", "c_call"}:
            next(calls)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        judge.judge()
    finally:
        sys.setprofile(before)
    return next(calls)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("loses", [True, False])
def test_a_judgement_takes_time_by_the_number_of_visitors_and_not_by_its_square(
    *, ordered: bool, loses: bool
) -> None:
    few, many = (calls_of(visited(visitors, ordered=ordered, loses=loses)) for visitors in (50, 400))
    assert many < 8 * few * 1.5
