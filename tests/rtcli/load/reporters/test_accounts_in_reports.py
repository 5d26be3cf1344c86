"""Every report begins with the three accounts, and says of what is missing who, when and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rtcli.load.reporters import github, junit, markdown, prometheus, text
from rtcli.load.reporters.html import page as html
from rtcli.load.reporters.html.plots import missing_spans
from rtcli.load.reporters.outputs import evidence_lines
from rtcli.load.results import summary
from rtcli.load.results.accounts import DeliveriesAccount, SendsAccount, UsersAccount
from rtcli.load.results.model import RunResult, Verdict, Violation
from rtcli.load.results.verdict import decide
from tests.support.load.sample_results import (
    ABSENT,
    EVIL,
    INTERRUPTED,
    LOSS,
    MISSED,
    PORTS,
    UNSENT,
    accounts,
    audit,
    passing,
    result,
    short,
    users_account,
)

NO_ACCOUNTS = replace(passing(), accounts=None)
NO_SENDS = result(
    accounted=accounts(sends=SendsAccount(planned=False)), audited=audit(expected=0, delivered=0, sent=0)
)
UNJUDGED = result(
    accounted=accounts(
        replace(users_account(ABSENT, present=4), judged=False),
        SendsAccount(10, 10, 3, {"rate_limited": 7}, shortfalls=(UNSENT,), judged=False),
        DeliveriesAccount(judged=False),
    ),
    audited=replace(audit(expected=0, delivered=0), delivery="none"),
)
GONE = Violation("absent", "", "", 0, "reader 3", cause="connection refused", detail="gone at 3.1 s")
HOSTILE = result(
    accounted=accounts(
        users_account(replace(ABSENT, cause=EVIL, code=EVIL, who=(EVIL,), role=EVIL), present=4)
    )
)
RENDER: dict[str, Callable[[RunResult], str]] = {
    "text": text.render,
    "html": html.render,
    "markdown": markdown.render,
    "junit": junit.render,
    "github": github.render,
    "prometheus": prometheus.render,
}


def cases(run: RunResult, suite: str = "accounts") -> dict[str, ET.Element]:
    root = ET.fromstring(junit.render(run))  # noqa: S314 - our own
    found = {each.get("name"): each for each in root}
    return {case.get("name") or "": case for case in found[suite]} if suite in found else {}


def outcome(case: ET.Element) -> tuple[str, str | None, str]:
    (child,) = case
    return child.tag, child.get("message"), child.text or ""


@pytest.mark.parametrize("form", ["text", "html", "markdown"])
def test_the_line_of_accounts_is_among_the_first(form: str) -> None:
    shown = RENDER[form](short()).replace("\\", "")
    line = "4 of 10 users (2 interrupted) · 3 of 10 messages · 100 of 160 deliveries"
    before = shown.partition(line)[0]
    assert line in shown
    assert "absent:" not in before
    assert before.partition("<main>")[2].count("\n") <= 3
    assert form == "html" or before.count("\n") <= 3


def test_the_terminal_says_who_when_and_why() -> None:
    lines = text.render(short()).splitlines()
    assert lines[0] == (
        "FAILED  evening: 6 of 10 users absent (the server answered 503 to the handshake), "
        "7 of 10 messages refused (rate_limited), 60 deliveries missing."
    )
    assert "               reader: 2 of 8, 31.25 % of its time, 99 % required" in lines
    where = lines.index("  6 users absent  reader: the server answered 503 to the handshake (http_503)")
    assert lines[where + 1] == (
        "      from 120 ms to 3.4 s, phase steady, 1 min 6 s altogether; "
        "reader 1, reader 2, reader 3, reader 4, reader 5 and 1 more"
    )
    assert "  7 messages unsent  writer: refused: rate_limited" in lines
    assert "      from 6 s to 11.5 s, phase storm, room lobby; writer 1, writer 2" in lines
    assert "  60 deliveries missed  reader: the server answered 503 to the handshake (http_503)" in lines
    assert "Messages       10 due, 10 sent, 3 accepted, 7 refused (rate_limited 7)" in lines
    assert any(line.startswith("  2 users interrupted  reader") for line in lines)
    assert any(line.endswith("the scenario allows it") for line in lines)


def test_many_causes_are_cut_short() -> None:
    many = [replace(ABSENT, cause=f"cause {number}", code="", count=1) for number in range(30)]
    run = result(accounted=accounts(replace(users_account(*many), roles=())))
    assert "  and 25 more, in 25 groups" in text.render(run)
    assert "10 more causes" in markdown.render(run)
    assert len(github.render(run).splitlines()) == 10


@pytest.mark.parametrize("width", [20, 40, 80])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    def paint(part: str, _style: str) -> str:
        return f"\x1b[31m{part}\x1b[0m"

    folded = text.render(short(), paint, width)
    words = folded.replace("\x1b[31m", "").replace("\x1b[0m", "")
    assert all(len(line) <= width or " " not in line.strip() for line in words.splitlines())
    assert words.split() == text.render(short()).split()


@pytest.mark.parametrize("run", [NO_ACCOUNTS, NO_SENDS, UNJUDGED, HOSTILE, passing(), short()])
@pytest.mark.parametrize("form", RENDER)
def test_every_report_of_every_result_is_whole_and_harmless(form: str, run: RunResult) -> None:
    shown = RENDER[form](run)
    assert not set("\x1b\u202e\x00") & set(shown)
    if form == "junit":
        ET.fromstring(shown)  # noqa: S314 - our own


def test_what_is_not_judged_is_said() -> None:
    shown = text.render(UNJUDGED)
    assert "4 of 10 users (not judged) · 3 of 10 messages (not judged) · deliveries not judged" in shown
    assert "4 present to the end, 100 % of their time (not judged: attendance: off)" in shown
    assert "7 refused (rate_limited 7) (not judged: sends: off)" in shown
    assert "Deliveries     not judged (audit: { delivery: none })" in shown
    found = cases(UNJUDGED)
    assert {name: outcome(case)[0] for name, case in found.items()} == {
        "users": "skipped", "sends": "skipped", "deliveries": "skipped"
    }  # fmt: skip
    assert outcome(found["users"])[1:] == ("4 of 10 users (not judged)", "attendance: off")
    assert "Users          not accounted for" in text.render(NO_ACCOUNTS)
    assert "were not accounted for" in html.render(NO_ACCOUNTS)
    assert cases(NO_ACCOUNTS) == {}


def test_without_messages_only_users_are_judged() -> None:
    assert text.render(NO_SENDS).splitlines()[:2] == [
        "PASSED  evening: everybody was there.",
        "  10 of 10 users · no messages planned",
    ]
    assert list(cases(NO_SENDS)) == ["users", "no user is absent"]
    assert "something was delivered" not in cases(NO_SENDS, "delivery audit")


@pytest.mark.parametrize(("judged", "failed"), [(True, True), (False, False)])
def test_junit_agrees_with_the_verdict_on_a_run_in_which_nothing_was_due(judged: bool, failed: bool) -> None:
    accounted = accounts(sends=SendsAccount(judged=judged))
    audited = audit(expected=0, delivered=0, sent=0)
    verdict, _ = decide(audited, [], accounts=accounted)
    assert (verdict is Verdict.INCONCLUSIVE) is failed
    found = cases(result(accounted=accounted, audited=audited), "delivery audit")
    assert ("something was delivered" in found) is failed


def test_junit_has_a_case_for_each_account_and_each_kind() -> None:
    found = cases(short())
    assert list(found) == [
        "users", "sends", "deliveries",
        "no user is absent", "no message is unsent", "no delivery is missed",
    ]  # fmt: skip
    tag, message, body = outcome(found["users"])
    assert (tag, message) == ("failure", "4 of 10 users (2 interrupted)")
    assert body.splitlines() == [
        (
            "6 users absent (reader): the server answered 503 to the handshake (http_503); "
            "from 120 ms to 3.4 s, phase steady, 1 min 6 s altogether; "
            "reader 1, reader 2, reader 3, reader 4, reader 5 and 1 more"
        ),
        "reader was present for 31.25 % of its time, 99 % required",
    ]
    assert outcome(found["sends"])[:2] == ("failure", "3 of 10 messages")
    assert outcome(found["no delivery is missed"])[:2] == (
        "failure",
        "the server answered 503 to the handshake (60)",
    )
    whole = {name: child.tag for name, case in cases(passing()).items() for child in case}
    assert whole == {"users": "system-out", "sends": "system-out", "deliveries": "system-out"}


def test_junit_fails_the_deliveries_for_what_the_audit_found_even_without_evidence() -> None:
    tag, message, body = outcome(cases(result(audited=audit(duplicate=3)))["deliveries"])
    assert (tag, message, body) == ("failure", "100 of 100 deliveries", "3 duplicate")
    _, _, body = outcome(cases(result(audited=audit((LOSS,), lost=1, delivered=99)))["deliveries"])
    assert "writer 3 #41837 in lobby: reader 12 never got it" in body


def test_what_the_generator_caused_is_no_failure_of_the_server() -> None:
    run = result(accounted=accounts(users_account(PORTS, present=7)))
    found = cases(run)
    assert outcome(found["users"])[0] == outcome(found["no user is absent"])[0] == "error"
    assert github.render(run).startswith("::warning title=3 users absent (reader)::")
    assert "not the server's fault" in text.render(run)
    bug = replace(PORTS, code="generator_bug")
    assert github.render(result(accounted=accounts(users_account(bug, present=7)))).startswith("::error ")


def test_allowed_and_interrupted_are_told_and_fail_nothing() -> None:
    run = result(accounted=accounts(users_account(INTERRUPTED)))
    assert outcome(cases(run)["users"])[0] == "system-out"
    assert "2 users interrupted" in outcome(cases(run)["users"])[2]
    assert github.render(run) == ""
    assert "| ⚠️ | 2 users interrupted |" in markdown.render(run)
    assert '<span class="badge yellow">allowed</span></td><td>2 users interrupted' in html.render(run)


def test_annotations_are_in_the_order_of_the_accounts() -> None:
    titles = [line.partition("::")[2].partition("::")[0] for line in github.render(short()).splitlines()]
    assert titles == [
        "error title=6 users absent (reader)",
        "error title=7 messages unsent (writer)",
        "error title=60 deliveries missed (reader)",
    ]


def test_prometheus_has_the_accounts() -> None:
    families = {family.name: family for family in text_string_to_metric_families(prometheus.render(short()))}
    planned = {it.labels["account"]: it.value for it in families["rtcli_loadtest_account_planned"].samples}
    actual = {it.labels["account"]: it.value for it in families["rtcli_loadtest_account_actual"].samples}
    assert planned == {"users": 10, "sends": 10, "deliveries": 160}
    assert actual == {"users": 4, "sends": 3, "deliveries": 100}
    missing = {
        (it.labels["kind"], it.labels["code"], it.labels["allowed"]): it.value
        for it in families["rtcli_loadtest_shortfall"].samples
    }
    assert missing["absent", "http_503", "false"] == 6
    assert missing["interrupted", "close_1006", "true"] == 2
    presence = {it.labels["role"]: it.value for it in families["rtcli_loadtest_presence_ratio"].samples}
    assert presence["reader"] == pytest.approx(0.3125)


def test_the_page_has_a_table_of_roles_and_one_of_causes() -> None:
    page = html.render(short())
    assert '<span class="badge red">31.25 %</span>' in page
    assert "steady 31.25 %, storm 31.25 %" in page
    assert "<td>60 deliveries missed</td><td>reader</td>" in page
    assert "10 due, 10 sent, 3 accepted, 7 refused (rate_limited 7)" in page
    assert page.count('class="s"') == 4 * 2  # two stretches of time, in each plot over time


def test_times_of_what_is_missing_are_shaded_once() -> None:
    run = short()
    assert run.accounts is not None
    first, second = missing_spans(run.accounts)
    assert (first.start, first.end) == (0.12, 3.4)
    assert (second.start, second.end) == (6.0, 11.5)
    overlapping = replace(UNSENT, kind="absent", first=3.0, last=5.0)
    (merged,) = missing_spans(accounts(UsersAccount(shortfalls=(ABSENT, overlapping, replace(MISSED)))))
    assert (merged.start, merged.end) == (0.12, 5.0)
    assert merged.text.splitlines() == [
        "6 users absent (reader): the server answered 503 to the handshake (http_503)",
        "7 users absent (writer): refused: rate_limited",
    ]


def test_absences_are_among_the_evidence() -> None:
    run = result(
        audited=audit((GONE, LOSS), lost=1, delivered=99),
        accounted=accounts(users_account(ABSENT, present=4)),
    )
    assert [json.loads(line)["kind"] for line in evidence_lines(run).splitlines()] == ["absent", "lost"]
    shown = text.render(run)
    assert "  absent  reader 3 was not there, although it should have been\n" in shown
    assert "      connection refused; gone at 3.1 s\n" in shown
    assert "<summary><b>reader 3</b></summary>" in html.render(run)
    assert "absent: reader 3 was not there" in markdown.render(run)


def test_messages_that_were_not_accepted_are_named() -> None:
    refused = Violation("unsent", "lobby", "writer 1", 4, "", sent=1.023, cause="refused: rate_limited")
    never = replace(refused, number=0, sent=None, cause="", detail="due at 2.187 s")
    shown = text.render(result(audited=audit((refused, never))))
    assert "  unsent  writer 1 #4 in lobby could not be sent, or was not accepted\n" in shown
    assert "      sent at 1.023 s; refused: rate_limited\n" in shown
    assert "  unsent  a message of writer 1 in lobby could not be sent, or was not accepted\n" in shown


def test_scripts_find_sums_in_the_summary() -> None:
    document = json.loads(summary.encode(short()))
    users = document["accounts"]["users"]
    assert (users["planned"], users["present"], users["interrupted"]) == (10, 4, 2)
    assert document["accounts"]["sends"]["refused"] == {"rate_limited": 7}
    assert document["accounts"]["deliveries"]["shortfalls"][0]["kind"] == "missed"
