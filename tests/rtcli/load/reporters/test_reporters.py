"""What is handed out: readable, complete, and harmless whatever a server put into its messages."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from rtcli.load.reporters import junit, text
from rtcli.load.results.model import RunResult, Verdict
from tests.support.load.sample_results import LOSS, audit, failing, passing, result, threshold

BAD = "\x1b\u202e\x00"


def test_a_passed_run_reads_well() -> None:
    lines = text.render(passing()).splitlines()
    assert lines[0] == "PASSED  evening: everybody was there, and everything arrived, once and in order."
    assert lines[1] == "  10 of 10 users · 10 of 10 messages · 100 of 100 deliveries"
    assert any("100 expected, 100 arrived (10 messages, 10 subscribers)" in line for line in lines)
    assert "to each" in text.render(passing())
    assert "  ok   fanout_latency{phase:storm} p(99) < 250ms  120 ms" in lines


def test_a_failed_run_says_what_and_where() -> None:
    shown = text.render(failing())
    assert shown.startswith("FAILED  evening: 37 deliveries missing.\n")
    assert "  - the delivery audit found 37 lost in 100 expected deliveries" in shown
    assert "37 lost: all in lobby, within 420 ms of a resume" in shown
    assert "writer 3 #41837 in lobby: reader 12 never got it" in shown
    assert "sent at 12.345 s, acknowledged at 12.350 s" in shown
    assert "and 36 more" in shown
    assert "no data" in shown
    assert not set(BAD) & set(shown)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_its_words(verdict: Verdict) -> None:
    first = text.render(replace(passing(), verdict=verdict)).splitlines()[0]
    assert first.isascii()
    assert first.split("  ")[0].isupper()


def test_colours_are_the_callers() -> None:
    shown = text.render(failing(), lambda part, style: f"<{style}>{part}</>")
    assert "<red>FAILED</>" in shown
    assert "<green>ok  </>" in shown


@pytest.mark.parametrize(
    "run",
    [
        result(audited=replace(audit(), delivery="none")),
        replace(passing(), audit=None, metrics={}, thresholds=(), notes=("3 x refused",)),
        result(audited=audit(late=3, gap_declared=2, indeterminate=1)),
        result(thresholds=(threshold("inconclusive", strict=False, aborted=True),)),
        result(interrupted_by="SIGTERM"),
    ],
)
def test_whatever_is_missing_both_reports_are_whole(run: RunResult) -> None:
    assert text.render(run).endswith("\n")
    ET.fromstring(junit.render(run))  # noqa: S314 - our own


def test_junit_has_a_case_for_each_threshold_and_rule() -> None:
    root = ET.fromstring(junit.render(failing()))  # noqa: S314 - our own
    suites = {suite.get("name"): suite for suite in root}
    assert [case.get("name") for case in suites["thresholds"]] == [
        "fanout_latency{phase:storm}: p(99) < 250ms"
    ] * 3
    assert suites["thresholds"].get("failures") == "2"
    case = suites["thresholds"][0]
    assert (case.get("file"), case.get("line")) == ("evening.yaml", "31")
    lost = next(case for case in suites["delivery audit"] if case.get("name") == "no delivery is lost")
    failure = lost.find("failure")
    assert failure is not None
    assert failure.get("message") == "37 of 100 expected deliveries"
    assert "writer 3 #41837 in lobby: reader 12 never got it" in (failure.text or "")
    assert root.get("failures") == "4"  # two thresholds, the deliveries, and the kind lost
    assert not set(BAD) & set(junit.render(failing()))


def test_junit_tells_failed_from_inconclusive_and_advisory() -> None:
    run = result(
        thresholds=(
            threshold("inconclusive"),
            threshold("failed", strict=False),
            threshold("passed", value=None),
        )
    )
    root = ET.fromstring(junit.render(run))  # noqa: S314 - our own
    assert [child.tag for case in root[0] for child in case] == ["error", "skipped", "system-out"]
    assert root.get("errors") == "1"
    assert root[-1].get("failures") == "1"


def test_junit_fails_when_nothing_was_delivered() -> None:
    run = result(audited=audit(delivered=0))
    assert "nothing was delivered" in junit.render(run)


def test_evidence_is_limited_but_counts_are_not() -> None:
    run = result(audited=audit((LOSS,) * 50, lost=5000))
    shown = text.render(run)
    assert shown.count("reader 12") == 5
    assert "and 4 995 more" in shown
