"""From what was found to the verdict, and the document that keeps it."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from rtcli.errors import Exit
from rtcli.load.results import summary
from rtcli.load.results.model import EXIT_CODES, RunResult, Verdict, decide
from tests.support.load.sample_results import LOSS, audit, failing, passing, threshold

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


@pytest.mark.parametrize("result", [passing(), failing()])
def test_the_summary_follows_its_schema_and_can_be_read_back(result: RunResult) -> None:
    content = summary.encode(result)
    document = json.loads(content)
    schema = summary.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    back = summary.decode(content)
    assert summary.decode(summary.encode(back)) == back
    assert document["exit_code"] == int(back.exit_code)
    assert document["started_at"] == "2023-11-14T22:13:20.500Z"


def test_the_summary_has_what_scripts_look_for() -> None:
    document = json.loads(summary.encode(failing()))
    assert document["verdict"] == "violation"
    assert document["audit"]["counts"]["lost"] == 37
    assert {"expected", "delivered", "lost", "duplicate", "reordered"} <= set(document["audit"]["counts"])
    assert document["thresholds"][1]["outcome"] == "failed"
    assert document["audit"]["violations"][0]["publisher"] == "writer 3"


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"format":"other"}', b'{"format":"rtcli.summary/v1"}', b"\xff", b"[" * 100_000],
)
def test_what_is_no_summary_is_refused(content: bytes) -> None:
    with pytest.raises(summary.SummaryError):
        summary.decode(content)
