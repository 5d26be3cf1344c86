"""The violations in `report.html`: groups by cause, and each violation with its frames."""

from __future__ import annotations

from collections.abc import Sequence

from rtcli.load.reporters.html.markup import text
from rtcli.load.reporters.text import MEANING
from rtcli.load.results.model import VIOLATIONS, RunResult, Violation
from rtcli.units import format_number

_MAX_VIOLATIONS = 200
_OPEN = 5  # of each kind are to be seen at once
_MAX_FRAME = 2_000


def violations(result: RunResult) -> str:
    """The section; empty when nothing went wrong."""
    audit = result.audit
    if audit is None or not (audit.violations or audit.groups):
        return ""
    groups = "".join(
        f"<li><b>{format_number(group.count)} {_words(group.kind)}</b>: {text(group.text)}</li>"
        for group in audit.groups
    )
    shown = audit.violations[:_MAX_VIOLATIONS]
    kinds = [*VIOLATIONS, *sorted({violation.kind for violation in shown} - set(VIOLATIONS))]
    body = "".join(_kind(kind, [found for found in shown if found.kind == kind]) for kind in kinds)
    rest = len(audit.violations) - len(shown)
    more = f"<p>{rest} more are in evidence.ndjson.</p>" if rest > 0 else ""
    return f"<section><h2>What went wrong</h2><ul>{groups}</ul>{body}{more}</section>"


def _words(kind: str) -> str:
    return text(kind.replace("_", " "))


def _kind(kind: str, found: Sequence[Violation]) -> str:
    if not found:
        return ""
    heading = f"<h3>{_words(kind)}: {text(MEANING.get(kind, ''))}</h3>"
    shown = "".join(_violation(violation) for violation in found[:_OPEN])
    rest = "".join(_violation(violation) for violation in found[_OPEN:])
    more = f"<details><summary>{len(found) - _OPEN} more</summary>{rest}</details>" if rest else ""
    return heading + shown + more


def _violation(violation: Violation) -> str:
    times = (
        ("sent", violation.sent),
        ("acknowledged", violation.acknowledged),
        ("received", violation.received),
    )
    facts = [f"{what} at {time:.3f} s" for what, time in times if time is not None]
    facts += [part for part in (violation.cause, violation.detail) if part]
    if violation.connection:
        facts.append(f"connection {violation.connection}")
    frames = "".join(
        f"<tr><td>{frame.time:.3f} s</td><td>{text(frame.direction)}</td>"
        f"<td><code>{text(frame.text, _MAX_FRAME)}</code></td></tr>"
        for frame in violation.frames
    )
    table = f"<table class=frames><tbody>{frames}</tbody></table>" if frames else ""
    where = f" in {violation.room}: {violation.subscriber}"
    summary = f"<summary><b>{text(violation.message)}</b>{text(where)}</summary>"
    return f"<details>{summary}<p>{text('; '.join(facts))}</p>{table}</details>"
