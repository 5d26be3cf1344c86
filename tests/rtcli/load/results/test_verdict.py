"""The verdict on a run, from what was found: a table of cases, worst first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from rtcli.errors import Exit
from rtcli.load.results.accounts import DeliveriesAccount, SendsAccount, UsersAccount
from rtcli.load.results.model import EXIT_CODES, Verdict
from rtcli.load.results.verdict import decide
from tests.support.load.sample_results import (
    ABSENT,
    INTERRUPTED,
    LOSS,
    MISSED,
    PORTS,
    UNSENT,
    accounts,
    audit,
    failing,
    result,
    short,
    threshold,
    users_account,
)

LOST = audit((LOSS,), lost=37, delivered=63)
NOTHING = audit(expected=0, delivered=0, sent=0, acknowledged=0)
FAILED = threshold("failed", reason="it was 400 ms")
UNSURE = threshold("inconclusive", reason="it was 400 ms in windows")
GONE = users_account(ABSENT, present=4, present_s=54.0)
REFUSED = SendsAccount(10, 10, 3, {"rate_limited": 7}, shortfalls=(UNSENT,))
ALLOWED = SendsAccount(10, 10, 3, {"rate_limited": 7}, shortfalls=(replace(UNSENT, allowed=True),))
MISSING = DeliveriesAccount(160, 100, 60, (MISSED,))
NO_PORTS = users_account(PORTS, present=7)
BUG = users_account(replace(PORTS, code="generator_bug"), present=7)
NO_SENDS = SendsAccount(planned=False)


@pytest.mark.parametrize(
    ("found", "verdict", "code"),
    [
        ({}, Verdict.PASSED, 0),
        ({"audit": LOST}, Verdict.VIOLATION, 98),
        ({"thresholds": [FAILED]}, Verdict.THRESHOLD, 99),
        ({"worse": ["p99 doubled"]}, Verdict.WORSE, 97),
        ({"thresholds": [UNSURE]}, Verdict.INCONCLUSIVE, 96),
        ({"inconclusive": ["too little"]}, Verdict.INCONCLUSIVE, 96),
        ({"thresholds": [UNSURE, FAILED]}, Verdict.THRESHOLD, 99),
        ({"thresholds": [UNSURE], "worse": ["x"]}, Verdict.WORSE, 97),
        ({"thresholds": [FAILED], "worse": ["x"], "audit": LOST}, Verdict.VIOLATION, 98),
        ({"thresholds": [replace(FAILED, strict=False), replace(UNSURE, strict=False)]}, Verdict.PASSED, 0),
        ({"audit": LOST, "interrupted_by": "SIGINT"}, Verdict.INTERRUPTED, 130),
        ({"audit": audit(expected=0, delivered=0)}, Verdict.INCONCLUSIVE, 96),
        ({"audit": None}, Verdict.PASSED, 0),
        ({"audit": replace(audit(expected=0), delivery="none")}, Verdict.PASSED, 0),
        ({"audit": audit(gap_declared=3)}, Verdict.VIOLATION, 98),
        ({"audit": replace(audit(gap_declared=3), failing=("lost",))}, Verdict.PASSED, 0),
        ({"audit": audit(late=5, indeterminate=7)}, Verdict.PASSED, 0),
        ({"failures": ["the adapter chess raised KeyError"]}, Verdict.BROKEN, 1),
        ({"failures": ["x"], "audit": LOST, "thresholds": [FAILED]}, Verdict.BROKEN, 1),
        ({"failures": ["x"], "interrupted_by": "SIGINT"}, Verdict.BROKEN, 1),
        # the accounts
        ({"accounts": accounts()}, Verdict.PASSED, 0),
        ({"accounts": accounts(GONE)}, Verdict.VIOLATION, 98),
        ({"accounts": accounts(sends=REFUSED)}, Verdict.VIOLATION, 98),
        ({"accounts": accounts(deliveries=MISSING)}, Verdict.VIOLATION, 98),
        ({"accounts": accounts(GONE), "thresholds": [FAILED, UNSURE]}, Verdict.VIOLATION, 98),
        ({"accounts": accounts(GONE), "interrupted_by": "SIGINT"}, Verdict.INTERRUPTED, 130),
        ({"accounts": accounts(users_account(INTERRUPTED))}, Verdict.PASSED, 0),
        ({"accounts": accounts(users_account(present_s=110.0))}, Verdict.VIOLATION, 98),  # away for too long
        # what is allowed, or not judged
        ({"accounts": accounts(sends=ALLOWED)}, Verdict.PASSED, 0),
        ({"accounts": accounts(sends=SendsAccount(10, 5, 5, excused=5))}, Verdict.PASSED, 0),
        ({"accounts": accounts(replace(GONE, judged=False))}, Verdict.PASSED, 0),
        ({"accounts": accounts(sends=replace(REFUSED, judged=False))}, Verdict.PASSED, 0),
        ({"accounts": accounts(deliveries=replace(MISSING, judged=False))}, Verdict.PASSED, 0),
        # what the load generator itself caused
        ({"accounts": accounts(NO_PORTS)}, Verdict.INCONCLUSIVE, 96),
        ({"accounts": accounts(NO_PORTS), "thresholds": [FAILED]}, Verdict.THRESHOLD, 99),
        ({"accounts": accounts(NO_PORTS, REFUSED)}, Verdict.VIOLATION, 98),
        ({"accounts": accounts(BUG)}, Verdict.BROKEN, 1),
        ({"accounts": accounts(BUG, REFUSED, MISSING), "audit": LOST}, Verdict.BROKEN, 1),
        ({"accounts": accounts(users_account(replace(PORTS, code="x", own=True), present=7))},
         Verdict.INCONCLUSIVE, 96),
        # accounts that do not add up
        ({"accounts": accounts(users_account(present=9))}, Verdict.BROKEN, 1),
        ({"accounts": accounts(sends=SendsAccount(10, 10, 3))}, Verdict.BROKEN, 1),
        # nothing was said
        ({"accounts": accounts(sends=NO_SENDS), "audit": NOTHING}, Verdict.PASSED, 0),
        ({"accounts": accounts(GONE, NO_SENDS), "audit": NOTHING}, Verdict.VIOLATION, 98),
        ({"accounts": accounts(sends=NO_SENDS), "audit": NOTHING, "thresholds": [FAILED]},
         Verdict.THRESHOLD, 99),
        ({"accounts": accounts(sends=SendsAccount()), "audit": NOTHING}, Verdict.INCONCLUSIVE, 96),
        ({"accounts": accounts(sends=SendsAccount(judged=False)), "audit": NOTHING}, Verdict.PASSED, 0),
        ({"accounts": accounts(), "audit": NOTHING}, Verdict.INCONCLUSIVE, 96),  # and nobody to hear it
        ({"accounts": accounts(), "audit": replace(NOTHING, delivery="none")}, Verdict.PASSED, 0),
    ],
)  # fmt: skip
def test_the_worst_decides(found: Mapping[str, object], verdict: Verdict, code: int) -> None:
    given: dict[str, object] = {"audit": audit(), "thresholds": [], **found}
    decided, reasons = decide(given.pop("audit"), given.pop("thresholds"), **given)  # type: ignore[arg-type]
    assert decided is verdict, reasons
    assert EXIT_CODES[decided] == code
    assert bool(reasons) is (verdict is not Verdict.PASSED)


def test_every_reason_is_listed_worst_first() -> None:
    _, reasons = decide(LOST, [UNSURE, FAILED], worse=["it was better before"])
    assert reasons[0] == "the delivery audit found 37 lost in 100 expected deliveries"
    assert reasons[1].endswith("failed: it was 400 ms")
    assert reasons[2] == "it was better before"
    assert "in windows" in reasons[3]


def test_each_account_that_is_short_has_its_sentence() -> None:
    assert list(short().reasons) == [
        "6 of 10 users were absent: the server answered 503 to the handshake (6)",
        "7 of 10 messages were not accepted: refused: rate_limited (7)",
        (
            "60 of 160 deliveries were missed by users who were absent: "
            "the server answered 503 to the handshake (60)"
        ),
    ]
    silent = replace(ABSENT, code="no_answer", cause="no answer to the handshake", count=9)
    absent = [ABSENT, silent, *(replace(ABSENT, cause=f"cause {number}", count=1) for number in range(4))]
    many = replace(users_account(*absent, present=4, present_s=54.0), roles=())
    (reason,) = result(accounted=accounts(many)).reasons
    assert reason.endswith(
        "absent: no answer to the handshake (9), the server answered 503 to the handshake (6), "
        "cause 0 (1), cause 1 (1), other causes (2)"
    )


def test_the_reason_for_absent_time_names_what_kept_users_away() -> None:
    away = replace(INTERRUPTED, allowed=False, user_seconds=10.0)
    (reason,) = result(accounted=accounts(users_account(away, present_s=110.0))).reasons
    assert reason == (
        "reader was present for 89.58 % of its time, 99 % required: the connection broke off (1006) (2)"
    )


def test_bugs_and_lacking_means_are_told_apart() -> None:
    assert result(accounted=accounts(BUG)).reasons == [
        "the load generator failed: the load generator has no ports left (3)"
    ]
    assert result(accounted=accounts(NO_PORTS)).reasons == [
        "the load generator lacked the means: the load generator has no ports left (3)"
    ]
    assert (
        "7 messages are in no group of it"
        in result(accounted=accounts(sends=SendsAccount(10, 10, 3))).reasons[0]
    )


def test_judged_kinds_and_counts_come_from_accounts_and_audit() -> None:
    run = short()
    assert run.judged_kinds[:4] == ["absent", "unsent", "missed", "lost"]
    assert run.violation_counts["absent"] == 6
    assert run.violation_counts["unsent"] == 7
    assert run.violation_counts["missed"] == 60
    assert failing().violation_counts["lost"] == 37
    unjudged = result(
        accounted=accounts(
            UsersAccount(judged=False), SendsAccount(judged=False), DeliveriesAccount(judged=False)
        )
    )
    assert not {"absent", "unsent", "missed"} & set(unjudged.judged_kinds)
    losing = replace(run, audit=replace(audit(), failing=("duplicate",)))
    assert losing.judged_kinds == ["absent", "unsent", "duplicate"]
    assert result(accounted=accounts(NO_PORTS)).violation_counts["absent"] == 0


def test_every_verdict_has_an_exit_code() -> None:
    assert set(EXIT_CODES) == set(Verdict)
    assert len(set(EXIT_CODES.values())) == len(Verdict)
    assert failing().exit_code is Exit.AUDIT
