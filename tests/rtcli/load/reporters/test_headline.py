"""The sentence of a verdict names the reason, and claims no more than was shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcli.load.reporters.headline import sentence
from rtcli.load.results.accounts import DeliveriesAccount, RoleAttendance, SendsAccount, UsersAccount
from rtcli.load.results.model import RunResult, Verdict
from tests.support.load.sample_results import (
    ABSENT,
    INTERRUPTED,
    PORTS,
    UNSENT,
    accounts,
    audit,
    failing,
    passing,
    result,
    short,
    threshold,
    users_account,
)

NO_SENDS = SendsAccount(planned=False)
NONE = replace(audit(expected=0, delivered=0), delivery="none")
NOBODY = UsersAccount((RoleAttendance("reader", 10, 0, planned_s=120.0),), (replace(ABSENT, count=10),))
LOST_IN_THE_END = UsersAccount(
    (RoleAttendance("reader", 10, 0, planned_s=120.0, present_s=60.0),),
    (replace(ABSENT, count=4), replace(INTERRUPTED, kind="absent", count=6, allowed=False)),
)
UNANSWERED = replace(UNSENT, outcome="unanswered", code="no_answer", cause="no acknowledgement came", count=2)
UNJUDGED = DeliveriesAccount(judged=False)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (passing(), "everybody was there, and everything arrived, once and in order."),
        (
            result(audited=replace(audit(), delivery="at-least-once", order="none")),
            "everybody was there, and everything arrived, at least once.",
        ),
        (
            result(accounted=accounts(users_account(INTERRUPTED))),
            (
                "everybody was there, and everything arrived, once and in order; "
                "2 users lost the connection and came back."
            ),
        ),
        (
            result(accounted=accounts(sends=SendsAccount(10, 8, 8, shortfalls=(
                replace(UNANSWERED, allowed=True),)))),
            "nothing is missing but what the scenario allows.",
        ),
        (
            result(accounted=accounts(replace(users_account(ABSENT, present=4), judged=False))),
            "everything arrived, once and in order; not judged: users.",
        ),
        (
            result(accounted=accounts(sends=SendsAccount(10, 8, 3, judged=False))),
            "everybody was there, and what was sent arrived, once and in order; not judged: messages.",
        ),
        (
            result(audited=NONE, accounted=accounts(deliveries=UNJUDGED)),
            "everybody was there, and everything was sent; not judged: deliveries.",
        ),
        (result(accounted=accounts(sends=NO_SENDS)), "everybody was there."),
        (
            replace(passing(), accounts=None),
            "every threshold holds; it was not counted who was there and what was sent.",
        ),
        (
            short(),
            (
                "6 of 10 users absent (the server answered 503 to the handshake), "
                "7 of 10 messages refused (rate_limited), 60 deliveries missing."
            ),
        ),
        (failing(), "37 deliveries missing."),
        (replace(failing(), accounts=None), "37 deliveries missing."),
        (result(audited=audit(duplicate=3, reordered=1200)), "3 duplicate, 1 200 reordered."),
        (
            result(accounted=accounts(NOBODY)),
            "nobody got in (the server answered 503 to the handshake).",
        ),
        (
            result(accounted=accounts(LOST_IN_THE_END)),
            "nobody was there in the end (the connection broke off (1006) and other causes).",
        ),
        (
            result(accounted=accounts(sends=SendsAccount(10, 10, 8, unanswered=2, shortfalls=(UNANSWERED,)))),
            "2 of 10 messages not accepted (no acknowledgement came).",
        ),
        (
            result(accounted=accounts(users_account(present_s=110.0))),
            "reader present for 89.58 % of its time, 99 % required.",
        ),
        (result(thresholds=(threshold("failed", reason="it was 1 s"),)), "it is not good enough."),
        (
            result(thresholds=(threshold("failed", value=None, reason="there is no data"),)),
            "there is no data for fanout_latency{phase:storm}.",
        ),
        (
            result(thresholds=(threshold("inconclusive"),)),
            "the load generator could not keep up: this says little about the server.",
        ),
        (
            result(accounted=accounts(users_account(PORTS, present=7))),
            "the load generator lacked the means: the load generator has no ports left.",
        ),
        (
            result(audited=audit(expected=0, delivered=0)),
            "nobody was expected to get a message, so the delivery audit shows nothing.",
        ),
        (
            result(accounted=accounts(users_account(replace(PORTS, code="generator_bug"), present=7))),
            "a bug of rtcli, an adapter or the scenario; this says nothing about the server.",
        ),
    ],
)  # fmt: skip
def test_the_sentence_names_the_reason(run: RunResult, said: str) -> None:
    assert sentence(run) == said


def test_could_not_keep_up_is_said_of_nothing_but_that() -> None:
    unsure = result(audited=audit(expected=0, delivered=0), accounted=accounts(sends=SendsAccount()))
    assert unsure.verdict is Verdict.INCONCLUSIVE
    assert sentence(unsure) == "no message was due, although the scenario sends some."
