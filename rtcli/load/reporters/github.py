"""GitHub Actions: annotations and the step summary.

There is an annotation for each failed threshold, at its line of the scenario, and for all that is missing.
GitHub shows ten annotations of a kind for a step and silently hides the rest, so the tenth says how many more
there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rtcli.files import place_of
from rtcli.load.reporters import markdown
from rtcli.load.reporters.headline import sentence
from rtcli.load.results.kinds import words_of
from rtcli.load.results.model import RunResult, ThresholdResult
from rtcli.load.results.wording import shortfall_place, shortfall_title, shortfall_why
from rtcli.terminal.escaping import escape

LIMIT = 10
_MAX_SUMMARY = 1_000_000  # GitHub refuses a step summary of more than 1 MiB


@dataclass(frozen=True, slots=True)
class _Annotation:
    level: str  # error or warning
    title: str
    text: str
    line: int = 0
    column: int = 0


def _data(text: str) -> str:
    """Escape a command's message for the runner; control characters become visible."""
    shown = "\n".join(map(escape, text.split("\n")))
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def render(result: RunResult) -> str:
    """Render workflow commands, one a line; empty when nothing failed."""
    found = [*_accounts(result), *_audit(result)] + [
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


def _accounts(result: RunResult) -> list[_Annotation]:
    """What is missing from the accounts and not allowed; a warning where the generator lacked the means."""
    if result.accounts is None:
        return []
    return [
        _Annotation(
            "warning" if item.by_generator and not item.is_bug else "error",
            f"{shortfall_title(item)} ({item.role})",
            f"{shortfall_why(item)}; {shortfall_place(item)}",
        )
        for item in result.accounts.shortfalls
    ]


def _audit(result: RunResult) -> list[_Annotation]:
    audit = result.audit
    if audit is None or not audit.found:
        return []
    groups = [group for group in audit.groups if group.kind in audit.failing]
    if not groups:
        return [_Annotation("error", "delivery audit", sentence(result))]
    return [_Annotation("error", f"{group.count} {words_of(group.kind)}", group.text) for group in groups]


def _threshold(threshold: ThresholdResult) -> _Annotation:
    level = "error" if threshold.strict and threshold.outcome == "failed" else "warning"
    title = f"{threshold.selector} {threshold.text}"
    return _Annotation(
        level, title, f"{threshold.outcome}: {threshold.reason}", threshold.line, threshold.column
    )


def announce(result: RunResult, env: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Print annotations with `say` and add to the step summary, when `env` is that of GitHub Actions.

    A step summary that cannot be written is reported with `say`, and is no reason to fail.
    """
    if env.get("GITHUB_ACTIONS") != "true":
        return
    annotations = render(result)
    if annotations:
        say(annotations.rstrip("\n"))
    target = env.get("GITHUB_STEP_SUMMARY")
    if not target:
        return
    try:
        with place_of(Path(target)).open("a", encoding="utf-8") as file:
            file.write(markdown.render(result)[:_MAX_SUMMARY])
    except OSError as error:
        say(f"the step summary cannot be written: {error.strerror}")
