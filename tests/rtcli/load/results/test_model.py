"""The verdict on a run, from what was found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcli.errors import Exit
from rtcli.load.results.model import EXIT_CODES, Verdict, decide
from tests.support.load.sample_results import LOSS, audit, failing, threshold

LOST = audit((LOSS,), lost=37, delivered=63)
FAILED = threshold("failed", reason="it was 400 ms")
UNSURE = threshold("inconclusive", reason="it was 400 ms in windows")


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
        ({"audit": LOST, "interrupted": True}, Verdict.INTERRUPTED, 130),
        ({"audit": audit(expected=0, delivered=0)}, Verdict.INCONCLUSIVE, 96),
        ({"audit": None}, Verdict.PASSED, 0),
        ({"audit": replace(audit(expected=0), delivery="none")}, Verdict.PASSED, 0),
        ({"audit": audit(gap_declared=3)}, Verdict.VIOLATION, 98),
        ({"audit": replace(audit(gap_declared=3), failing=("lost",))}, Verdict.PASSED, 0),
        ({"audit": audit(late=5, indeterminate=7)}, Verdict.PASSED, 0),
    ],
)
def test_the_worst_decides(found: dict[str, object], verdict: Verdict, code: int) -> None:
    given = {"audit": audit(), "thresholds": [], **found}
    decided, reasons = decide(given.pop("audit"), given.pop("thresholds"), **given)  # type: ignore[arg-type]
    assert decided is verdict
    assert EXIT_CODES[decided] == code
    assert bool(reasons) is (verdict is not Verdict.PASSED)


def test_every_reason_is_listed_worst_first() -> None:
    _, reasons = decide(LOST, [UNSURE, FAILED], worse=["it was better before"])
    assert reasons[0] == "the delivery audit found 37 lost in 100 expected deliveries"
    assert reasons[1].endswith("failed: it was 400 ms")
    assert reasons[2] == "it was better before"
    assert "in windows" in reasons[3]


def test_every_verdict_has_an_exit_code() -> None:
    assert set(EXIT_CODES) == set(Verdict)
    assert len(set(EXIT_CODES.values())) == len(Verdict)
    assert failing().exit_code is Exit.AUDIT
