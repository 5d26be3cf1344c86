"""Annotations for GitHub Actions: each failed threshold on its own line of the scenario, worst first.

GitHub shows ten annotations of a kind for a step and silently hides the rest, so the tenth says how many more
there are.
"""

from __future__ import annotations

from dataclasses import dataclass

from rtcli.load.results.model import RunResult, ThresholdResult

LIMIT = 10


@dataclass(frozen=True, slots=True)
class _Annotation:
    level: str  # error or warning
    title: str
    text: str
    line: int = 0
    column: int = 0


def _data(text: str) -> str:
    """Escaped as the runner wants the message of a command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def render(result: RunResult) -> str:
    """Workflow commands, one a line; empty when there is nothing to say."""
    found = _audit(result) + [
        _threshold(threshold) for threshold in result.thresholds if threshold.outcome != "passed"
    ]
    if not found and result.exit_code:
        found = [_Annotation("error", f"load test {result.verdict.value}", "; ".join(result.reasons))]
    lines: list[str] = []
    for level in ("error", "warning"):
        lines += _limited([annotation for annotation in found if annotation.level == level], result)
    return "".join(f"{line}\n" for line in lines)


def _limited(found: list[_Annotation], result: RunResult) -> list[str]:
    if len(found) > LIMIT:
        rest = f"{len(found) - LIMIT + 1} more are in the report"
        found = [*found[: LIMIT - 1], _Annotation(found[0].level, "load test", rest)]
    return [_line(annotation, result) for annotation in found]


def _line(annotation: _Annotation, result: RunResult) -> str:
    properties = [f"title={_property(annotation.title)}"]
    if result.scenario_path and annotation.line:
        place = (
            f"file={_property(result.scenario_path)}",
            f"line={annotation.line}",
            f"col={annotation.column}",
        )
        properties = [*place, *properties]
    return f"::{annotation.level} {','.join(properties)}::{_data(annotation.text)}"


def _audit(result: RunResult) -> list[_Annotation]:
    audit = result.audit
    if audit is None or not audit.found:
        return []
    groups = [group for group in audit.groups if group.kind in audit.failing]
    if not groups:
        return [_Annotation("error", "delivery audit", result.reasons[0])]
    return [_Annotation("error", f"{group.count} {group.kind}", group.text) for group in groups]


def _threshold(threshold: ThresholdResult) -> _Annotation:
    level = "error" if threshold.strict and threshold.outcome == "failed" else "warning"
    title = f"{threshold.selector} {threshold.text}"
    return _Annotation(
        level, title, f"{threshold.outcome}: {threshold.reason}", threshold.line, threshold.column
    )
