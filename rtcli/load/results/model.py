"""The result of a run: the values that every report is made from.

`run.result` makes a `RunResult`, `summary` writes it as `summary.json` and reads it back, and the reporters
render it as text, JUnit and more. Durations are in seconds, times in seconds since the start of the run,
sizes in bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from rtcli.errors import Exit
from rtcli.load.metrics.names import Kind, Unit
from rtcli.load.results.accounts import Accounts, Shortfall

VIOLATIONS = ("lost", "duplicate", "reordered", "resume_gap", "leak", "phantom", "ghost", "corrupt")
"""Kinds of violations, in the order in which reports show them."""

COUNTS = (
    "sent",
    "acknowledged",
    "expected",
    "delivered",
    "late",
    *VIOLATIONS,
    "gap_declared",
    "indeterminate",
)
"""The keys of `AuditResult.counts`; `sent` and `acknowledged` are messages, the others deliveries."""


class Verdict(StrEnum):
    """The verdict on a run: the worst that happened."""

    PASSED = "passed"
    VIOLATION = "violation"  # the delivery audit found one
    THRESHOLD = "threshold"
    WORSE = "worse"  # than the baseline
    INCONCLUSIVE = "inconclusive"
    INTERRUPTED = "interrupted"


EXIT_CODES: Mapping[Verdict, Exit] = {
    Verdict.PASSED: Exit.OK,
    Verdict.VIOLATION: Exit.AUDIT,
    Verdict.THRESHOLD: Exit.THRESHOLD,
    Verdict.WORSE: Exit.WORSE,
    Verdict.INCONCLUSIVE: Exit.INCONCLUSIVE,
    Verdict.INTERRUPTED: Exit.SIGINT,
}

Outcome = Literal["passed", "failed", "inconclusive"]


@dataclass(frozen=True, slots=True)
class ThresholdResult:
    """The outcome of one threshold. `value` is None when there was no data."""

    selector: str  # fanout_latency{phase:storm}
    text: str  # p(99) < 250ms
    outcome: Outcome
    value: float | None
    bound: float
    unit: Unit
    reason: str = ""  # why it did not pass
    strict: bool = True  # False: advisory, does not change the verdict
    aborted: bool = False  # it ended the run
    line: int = 0  # in the scenario file; 0: from the command line
    column: int = 0


@dataclass(frozen=True, slots=True)
class FrameEvidence:
    """A frame near a violation, as its subscriber saw it; the text has no lone surrogates."""

    time: float
    direction: Literal["in", "out", "note"]  # note: joined, lost connection, resumed ...
    text: str


@dataclass(frozen=True, slots=True)
class Violation:
    """One delivery that broke a rule, with its evidence."""

    kind: str  # one of VIOLATIONS, or gap_declared, or absent: then `subscriber` was not there
    room: str
    publisher: str  # "writer 3"; "" of an absence
    number: int  # of the message, counted by its publisher from 1; 0 unknown
    subscriber: str  # "reader 41"
    connection: str = ""  # the connection's id, as the server gave it
    sent: float | None = None
    acknowledged: float | None = None
    received: float | None = None
    cause: str = ""  # "within a resume", "right after a join", ...; violations are grouped by it
    detail: str = ""
    frames: tuple[FrameEvidence, ...] = ()

    @property
    def message(self) -> str:
        """The message's name, like `writer 3 #41837`."""
        return f"{self.publisher} #{self.number}" if self.number else self.publisher


@dataclass(frozen=True, slots=True)
class ViolationGroup:
    """Violations with one cause: "all 37 in lobby, within 420 ms of a resume, 3 of 500 subscribers"."""

    kind: str
    count: int
    text: str
    rooms: tuple[str, ...] = ()
    subscribers: int = 0
    first: float | None = None
    last: float | None = None


@dataclass(frozen=True, slots=True)
class AuditResult:
    """The account of all deliveries. `counts` has every key of `COUNTS`."""

    delivery: str
    order: str
    counts: Mapping[str, int]
    failing: Sequence[str] = VIOLATIONS  # the kinds that the scenario does not allow
    subscribers: int = 0
    violations: Sequence[Violation] = ()
    groups: Sequence[ViolationGroup] = ()

    @property
    def found(self) -> int:
        """Number of deliveries that broke a rule of the scenario."""
        return sum(self.counts.get(kind, 0) for kind in self.failing)


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """One metric, or one set of its tags, over the whole run. Values that its kind does not have are None."""

    kind: Kind
    unit: Unit
    count: float = 0
    rate: float | None = None  # counter: per second; rate: share
    value: float | None = None  # gauge
    avg: float | None = None
    min: float | None = None
    med: float | None = None
    max: float | None = None
    percentiles: Mapping[str, float] = field(default_factory=dict)  # {"90": ..., "99": ..., "99.9": ...}


@dataclass(frozen=True, slots=True)
class Second:
    """One second of the run, as a row of the timeline."""

    time: int
    phase: str
    users: int = 0
    connections: int = 0
    sent: int = 0
    received: int = 0
    fanout_p50: float | None = None
    fanout_p99: float | None = None
    service_p99: float | None = None
    lag_p99: float | None = None
    violations: int = 0
    flagged: str = ""  # why this second is inconclusive


@dataclass(frozen=True, slots=True)
class Generator:
    """The resources that the load generator used, and whether it kept to its schedule."""

    workers: int = 1
    cpu_share: float = 0.0  # of one core, of the busiest worker, average over the run
    rss: int = 0  # all workers together
    users: int = 0  # most at one time
    stalls: int = 0
    dropped_sends: int = 0
    lag_p99: float | None = None
    flagged_seconds: int = 0


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of one run."""

    scenario: str
    description: str
    digest: str
    seed: int
    target: str  # the address, without credentials
    protocol: str
    started: float  # unix time
    duration: float
    verdict: Verdict
    reasons: Sequence[str]  # one sentence for each thing that is not as it should be, worst first
    thresholds: Sequence[ThresholdResult]
    audit: AuditResult | None
    metrics: Mapping[str, MetricSummary]
    generator: Generator
    accounts: Accounts | None = None  # None: of an earlier version, which had none
    environment: Mapping[str, str] = field(default_factory=dict)
    timeline: Sequence[Second] = ()
    spectrum: Mapping[str, Sequence[tuple[float, float]]] = field(
        default_factory=dict
    )  # metric -> (percent, value)
    scenario_path: str = ""
    scenario_text: str = ""
    phases: Sequence[tuple[str, float]] = ()  # name, duration
    notes: Sequence[str] = ()  # for the reader; not failures
    shards: int = 1

    @property
    def exit_code(self) -> Exit:
        """The exit code that belongs to the verdict."""
        return EXIT_CODES[self.verdict]


def decide(
    audit: AuditResult | None,
    thresholds: Sequence[ThresholdResult],
    *,
    accounts: Accounts | None = None,
    interrupted: bool = False,
    worse: Sequence[str] = (),
    inconclusive: Sequence[str] = (),
) -> tuple[Verdict, list[str]]:
    """Decide the verdict; returns it with its reasons, worst first.

    From worst to best: violation, threshold, worse, inconclusive (exit codes 98, 99, 97, 96). `worse` and
    `inconclusive` are reasons that the caller found: against the baseline, or too little data. The verdict on
    an interrupted run is always that, since its thresholds saw only a part; all reasons are still listed.
    """
    reasons: list[tuple[Verdict, str]] = []
    short = [] if accounts is None else accounts.shortfalls
    reasons += [(Verdict.VIOLATION, text) for text in _short_roles(accounts)]
    reasons += [(Verdict.VIOLATION, _short_reason(item)) for item in short if not item.own]
    if audit is not None and audit.found:
        reasons.append((Verdict.VIOLATION, _audit_reason(audit)))
    strict = [result for result in thresholds if result.strict]
    reasons += [
        (Verdict.THRESHOLD, f"{result.selector}: {result.text} failed: {result.reason}")
        for result in strict
        if result.outcome == "failed"
    ]
    reasons += [(Verdict.WORSE, text) for text in worse]
    reasons += [
        (Verdict.INCONCLUSIVE, f"{result.selector}: {result.text}: {result.reason}")
        for result in strict
        if result.outcome == "inconclusive"
    ]
    reasons += [(Verdict.INCONCLUSIVE, _short_reason(item)) for item in short if item.own]
    reasons += [(Verdict.INCONCLUSIVE, text) for text in (*inconclusive, *_too_little(audit))]
    texts = [text for _, text in reasons]
    if interrupted:
        return Verdict.INTERRUPTED, ["the run was interrupted before its end", *texts]
    return (reasons[0][0] if reasons else Verdict.PASSED), texts


def _short_roles(accounts: Accounts | None) -> list[str]:
    """The roles that were present for less time than the scenario asks for."""
    if accounts is None or not accounts.users.judged:
        return []
    return [
        f"{role.role} was present for {_percent(role.share)} of the planned time, and "
        f"{_percent(role.required or 0)} is required"
        for role in accounts.users.roles
        if role.is_short
    ]


def _percent(share: float) -> str:
    """A share as a percentage that is never rounded up to a bound that it misses."""
    return f"{math.floor(share * 10_000) / 100:g} %"


def _short_reason(item: Shortfall) -> str:
    what = {"missed": "deliveries missed by", "interrupted": "interrupted:"}.get(item.kind, f"{item.kind}:")
    room = f" in {item.room}" if item.room else ""
    return f"{item.count} {what} {item.role}{room}: {item.cause}"


def _too_little(audit: AuditResult | None) -> list[str]:
    """The reason why an audit without expected deliveries is inconclusive; empty when there are some."""
    if audit is None or audit.delivery == "none" or audit.counts.get("expected"):
        return []
    return ["nobody was expected to get a message, so the delivery audit shows nothing"]


def _audit_reason(audit: AuditResult) -> str:
    kinds = [(audit.counts[kind], kind.replace("_", " ")) for kind in audit.failing if audit.counts.get(kind)]
    found = ", ".join(f"{count} {kind}" for count, kind in kinds)
    return f"the delivery audit found {found} in {audit.counts.get('expected', 0)} expected deliveries"
