"""The violations in `report.html`: groups by cause, and each violation with its frames."""

from __future__ import annotations

from collections.abc import Sequence

from rtcli.load.reporters.html.markup import text
from rtcli.load.results.kinds import KINDS, words_of
from rtcli.load.results.model import RunResult, Violation
from rtcli.load.results.quotas import choose
from rtcli.load.results.wording import violation_facts
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
        f"<li><b>{format_number(group.count)} {text(words_of(group.kind))}</b>: {text(group.text)}</li>"
        for group in audit.groups
    )
    shown, counts = choose(audit.violations, _MAX_VIOLATIONS), result.violation_counts
    kinds = [*KINDS, *sorted({violation.kind for violation in shown} - set(KINDS))]
    body = "".join(
        _kind(kind, [found for found in shown if found.kind == kind], counts.get(kind, 0)) for kind in kinds
    )
    rest = len(audit.violations) - len(shown)
    more = f"<p>{rest} more are in evidence.ndjson.</p>" if rest > 0 else ""
    return f"<section><h2>What went wrong</h2><ul>{groups}</ul>{body}{more}</section>"


def _kind(kind: str, found: Sequence[Violation], count: int) -> str:
    """The violations of one kind, of which there were `count`."""
    if not found:
        return ""
    known = KINDS.get(kind)
    meaning = "" if known is None else f": {known.sentence}"
    rules = "" if known is None else f' <span class="dim">{", ".join(known.rules)}</span>'
    heading = f"<h3>{text(words_of(kind))}{text(meaning)}{rules}</h3>"
    shown = "".join(_violation(violation) for violation in found[:_OPEN])
    rest = "".join(_violation(violation) for violation in found[_OPEN:])
    more = f"<details><summary>{len(found) - _OPEN} more</summary>{rest}</details>" if rest else ""
    part = f"<p>The first {len(found)} of {format_number(count)}:</p>" if count > len(found) else ""
    return heading + part + shown + more


def _violation(violation: Violation) -> str:
    facts = [violation_facts(violation)] if violation_facts(violation) else []
    if violation.connection:
        facts.append(f"connection {violation.connection}")
    frames = "".join(
        f"<tr><td>{frame.time:.3f} s</td><td>{text(frame.direction)}</td>"
        f"<td><code>{text(frame.text, _MAX_FRAME)}</code></td></tr>"
        for frame in violation.frames
    )
    table = f"<table class=frames><tbody>{frames}</tbody></table>" if frames else ""
    rest = f" in {violation.room}" if violation.room else ""
    rest += f": {violation.subscriber}" if violation.publisher and violation.subscriber else ""
    first = violation.message if violation.publisher else violation.subscriber
    summary = f"<summary><b>{text(first)}</b>{text(rest)}</summary>"
    return f"<details>{summary}<p>{text('; '.join(facts))}</p>{table}</details>"
