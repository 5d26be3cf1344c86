"""`junit.xml`: a test case for each threshold and each rule of the audit, as CI systems read it."""

from __future__ import annotations

import re
import time
from xml.etree import ElementTree as ET

from rtcli.load.metrics.formatting import format_value
from rtcli.load.results.model import AuditResult, RunResult, ThresholdResult, Violation

# XML 1.0 (2.2) allows tab, line feed, carriage return and the characters from U+0020, without surrogates,
# FFFE and FFFF; and what changes the direction of text has no business in a report.
_NOT_XML = re.compile(
    "[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def render(result: RunResult) -> str:
    """The document as text, with its XML declaration."""
    root = ET.Element("testsuites", name=_clean(f"rtcli loadtest {result.scenario}"))
    _thresholds(root, result)
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


def _audit(root: ET.Element, audit: AuditResult, result: RunResult) -> None:
    suite = _suite(root, "delivery audit")
    for kind in audit.failing:
        case = _case(suite, f"no delivery is {kind.replace('_', ' ')}", result)
        count = audit.counts.get(kind, 0)
        if count:
            shown = [violation for violation in audit.violations if violation.kind == kind][:20]
            body = "\n".join(_line(violation) for violation in shown)
            _outcome(
                case, "failure", f"{count} of {audit.counts.get('expected', 0)} expected deliveries", body
            )
    case = _case(suite, "something was delivered", result)
    if audit.delivery != "none" and not audit.counts.get("delivered"):
        _outcome(case, "failure", "nothing was delivered, so nothing was shown")


def _line(violation: Violation) -> str:
    parts = [
        f"{violation.message} in {violation.room}",
        violation.subscriber,
        violation.cause,
        violation.detail,
    ]
    return "; ".join(part for part in parts if part)


def _run(root: ET.Element, result: RunResult) -> None:
    case = _case(_suite(root, "run"), f"verdict: {result.verdict.value}", result)
    if result.verdict.value in {"inconclusive", "interrupted", "worse"}:
        _outcome(case, "failure", "; ".join(result.reasons))
