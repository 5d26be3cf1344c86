"""`junit.xml`: a test case for each threshold, each account and each kind of violation, for CI systems."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from rtcli.load.metrics.formatting import format_value
from rtcli.load.results.accounts import Accounts, DeliveriesAccount, SendsAccount, Shortfall, UsersAccount
from rtcli.load.results.kinds import KINDS, UNJUDGED
from rtcli.load.results.model import AuditResult, RunResult, ThresholdResult, Violation
from rtcli.load.results.verdict import wants_messages
from rtcli.load.results.wording import (
    causes,
    deliveries_figures,
    role_presence,
    sends_figures,
    shortfall_sentence,
    users_figures,
    violation_facts,
    violation_sentence,
)

# XML 1.0 (2.2) allows tab, line feed, carriage return and the characters from U+0020, without surrogates,
# FFFE and FFFF; and what changes the direction of text has no business in a report.
_NOT_XML = re.compile(
    "[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)

_MAX_LINES = 20  # of each failure's text


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def render(result: RunResult) -> str:
    """The document as text, with its XML declaration."""
    root = ET.Element("testsuites", name=_clean(f"rtcli loadtest {result.scenario}"))
    _thresholds(root, result)
    if result.accounts is not None:
        _accounts(root, result.accounts, result)
    if result.audit is not None:
        _audit(root, result.audit, result)
    _run(root, result)
    for suite in root:
        for key, tag in (
            ("tests", "testcase"),
            ("failures", "testcase/failure"),
            ("skipped", "testcase/skipped"),
        ):
            suite.set(key, str(len(suite.findall(tag))))
        suite.set("errors", str(len(suite.findall("testcase/error"))))
        suite.set("time", f"{result.duration:.3f}")
        suite.set("timestamp", time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(result.started)))
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(root: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(root, "testsuite", name=name)


def _case(suite: ET.Element, name: str, result: RunResult) -> ET.Element:
    kind = suite.get("name", "").replace(" ", "-")
    return ET.SubElement(
        suite, "testcase", classname=_clean(f"{result.scenario}.{kind}"), name=_clean(name), time="0"
    )


def _outcome(case: ET.Element, tag: str, message: str, body: str = "") -> None:
    element = ET.SubElement(case, tag, message=_clean(message))
    element.text = _clean(body) or None


def _thresholds(root: ET.Element, result: RunResult) -> None:
    suite = _suite(root, "thresholds")
    for threshold in result.thresholds:
        case = _case(suite, f"{threshold.selector}: {threshold.text}", result)
        if result.scenario_path and threshold.line:
            case.set("file", _clean(result.scenario_path))
            case.set("line", str(threshold.line))
        _threshold(case, threshold)


def _threshold(case: ET.Element, threshold: ThresholdResult) -> None:
    if threshold.outcome == "passed":
        value = "no data" if threshold.value is None else format_value(threshold.value, threshold.unit)
        ET.SubElement(case, "system-out").text = f"measured: {value}"
    elif not threshold.strict:
        _outcome(case, "skipped", f"advisory, {threshold.outcome}: {threshold.reason}")
    else:
        tag = "failure" if threshold.outcome == "failed" else "error"
        _outcome(case, tag, f"{threshold.outcome}: {threshold.reason}")


# -- accounts and audit ------------------------------------------------------------------------------------


def _accounts(root: ET.Element, accounts: Accounts, result: RunResult) -> None:
    """A case for each account, and one for each kind of violation that only they have."""
    suite = _suite(root, "accounts")
    users, sends, deliveries = accounts.users, accounts.sends, accounts.deliveries
    away = [f"{role.role} was {role_presence(role)}" for role in users.roles if role.is_short]
    _account(_case(suite, "users", result), users, users_figures(users), away)
    if sends.planned:
        _account(_case(suite, "sends", result), sends, sends_figures(sends))
        _account(
            _case(suite, "deliveries", result), deliveries, deliveries_figures(deliveries), _audited(result)
        )
    missing = {"absent": users.shortfalls, "unsent": sends.shortfalls, "missed": deliveries.shortfalls}
    for kind, shortfalls in missing.items():
        if kind in result.judged_kinds:
            found = [item for item in shortfalls if item.kind == kind and not item.allowed]
            _kind(_case(suite, KINDS[kind].claim, result), found)


def _audited(result: RunResult) -> list[str]:
    """What the audit found that fails the run: how many of each kind, and some of them."""
    audit = result.audit
    if audit is None:
        return []
    counts = [f"{audit.counts[kind]} {KINDS[kind].words}" for kind in audit.failing if audit.counts.get(kind)]
    wrong = [_line(violation) for violation in audit.violations if violation.kind in audit.failing]
    return [*counts, *wrong[:_MAX_LINES]]


def _account(
    case: ET.Element,
    account: UsersAccount | SendsAccount | DeliveriesAccount,
    figures: str,
    more: Sequence[str] = (),
) -> None:
    """Fails for what is not allowed and for `more`; an error where only the generator lacked the means."""
    shortfalls, name = account.shortfalls, case.get("name", "")
    missing = [item for item in shortfalls if not item.allowed]
    body = "\n".join([*map(shortfall_sentence, missing[:_MAX_LINES]), *more])
    if not account.judged:
        _outcome(case, "skipped", figures, next(rule for known, rule in UNJUDGED.items() if known == name))
    elif more or any(not item.by_generator for item in missing):
        _outcome(case, "failure", figures, body)
    elif missing:
        _outcome(case, "error", figures, body)
    else:
        ET.SubElement(case, "system-out").text = _clean(
            "\n".join([figures, *map(shortfall_sentence, shortfalls[:_MAX_LINES])])
        )


def _kind(case: ET.Element, found: Sequence[Shortfall]) -> None:
    wrong = [item for item in found if not item.by_generator]
    if found:
        body = "\n".join(map(shortfall_sentence, (wrong or found)[:_MAX_LINES]))
        _outcome(case, "failure" if wrong else "error", causes(wrong or found), body)


def _audit(root: ET.Element, audit: AuditResult, result: RunResult) -> None:
    suite = _suite(root, "delivery audit")
    for kind in audit.failing:
        case = _case(suite, KINDS[kind].claim, result)
        count = audit.counts.get(kind, 0)
        if count:
            shown = [violation for violation in audit.violations if violation.kind == kind][:_MAX_LINES]
            body = "\n".join(_line(violation) for violation in shown)
            _outcome(
                case, "failure", f"{count} of {audit.counts.get('expected', 0)} expected deliveries", body
            )
    if not wants_messages(result.accounts):
        return
    case = _case(suite, "something was delivered", result)
    if audit.delivery != "none" and not audit.counts.get("delivered"):
        _outcome(case, "failure", "nothing was delivered, so nothing was shown")


def _line(violation: Violation) -> str:
    return "; ".join(part for part in (violation_sentence(violation), violation_facts(violation)) if part)


def _run(root: ET.Element, result: RunResult) -> None:
    case = _case(_suite(root, "run"), f"verdict: {result.verdict.value}", result)
    if result.verdict.value in {"broken", "inconclusive", "interrupted", "worse"}:
        _outcome(case, "failure", "; ".join(result.reasons))
