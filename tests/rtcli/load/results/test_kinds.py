"""The kinds of violations, and which of them fail a run by which rules."""

from __future__ import annotations

import pytest

from rtcli.load.metrics.names import METRICS
from rtcli.load.results.kinds import KINDS, VIOLATIONS, failing_kinds, words_of
from rtcli.load.scenario.model import AuditRules


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        (AuditRules(), set()),
        (AuditRules(delivery="at-least-once"), {"duplicate"}),
        (AuditRules(delivery="at-most-once"), {"lost", "resume_gap", "gap_declared"}),
        (AuditRules(delivery="none"), {*VIOLATIONS, "gap_declared"}),
        (AuditRules(order="none"), {"reordered"}),
        (AuditRules(gaps="allow"), {"gap_declared"}),
    ],
)
def test_rules_allow_some_kinds(rules: AuditRules, allowed: set[str]) -> None:
    assert {*VIOLATIONS, "gap_declared"} - set(failing_kinds(rules)) == allowed


def test_users_and_messages_come_before_deliveries() -> None:
    assert list(KINDS)[:3] == ["absent", "unsent", "missed"]
    assert {*VIOLATIONS} < {*KINDS}
    assert [kind.name for kind in KINDS.values() if kind.account != "deliveries"] == ["absent", "unsent"]


def test_each_kind_is_a_metric_that_counts() -> None:
    assert [kind for kind in KINDS if not METRICS[kind].always] == []


def test_kinds_have_words() -> None:
    assert KINDS["resume_gap"].words == words_of("resume_gap") == "resume gap"
    assert KINDS["lost"].sentence == "a receiver never got it"
    assert [KINDS[kind].claim for kind in ("absent", "unsent", "lost")] == [
        "no user is absent",
        "no message is unsent",
        "no delivery is lost",
    ]
