"""The result of a run: the values that every report is made from.

`run.result` makes a `RunResult`, `summary` writes it as `summary.json` and reads it back, and the reporters
render it as text, JUnit and more. Durations are in seconds, times in seconds since the start of the run,
sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from rtcli.errors import Exit
from rtcli.load.metrics.names import Kind, Unit
from rtcli.load.results.accounts import Accounts
from rtcli.load.results.kinds import KINDS, VIOLATIONS

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
    """The verdict on a run: the worst that happened. Worst first; `interrupted` hides all but the first."""

    BROKEN = "broken"  # the load generator itself, or an adapter
    VIOLATION = "violation"  # an account is short, or the delivery audit found something
    THRESHOLD = "threshold"
    WORSE = "worse"  # than the baseline
    INCONCLUSIVE = "inconclusive"
    INTERRUPTED = "interrupted"
    PASSED = "passed"


EXIT_CODES: Mapping[Verdict, Exit] = {
    Verdict.PASSED: Exit.OK,
    Verdict.BROKEN: Exit.BUG,
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
    """One delivery, user or message for which a rule was broken, with its evidence."""

    kind: str  # one of `kinds.KINDS`
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
    text: str = ""  # what was judged of texts: whole or token, as in the scenario; "": an earlier version

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
    """One second of the run, as a row of the timeline; in runs of more than 12 minutes, `seconds` of them.

    `users` are the most, `connections` the fewest in one of them; `sent` and `received` count all of them.
    """

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
    flagged: str = ""  # why this second is inconclusive, or some of them
    seconds: int = 1


@dataclass(frozen=True, slots=True)
class Generator:
    """The resources that the load generator used, and whether it kept to its schedule.

    `lag_p99` is how late messages left, `loop_lag_p99` how late the workers' event loops were, sends or not.
    """

    workers: int = 1
    cpu_share: float = 0.0  # of one core, of the busiest worker, average over the run
    rss: int = 0  # all workers together
    users: int = 0  # most at one time
    stalls: int = 0  # times an event loop stood still for longer than `stall_s`
    dropped_sends: int = 0
    lag_p99: float | None = None
    flagged_seconds: int = 0
    stall_s: float = 0.1
    loop_lag_p99: float | None = None
    stolen_s: float = 0.0  # by the hypervisor, of all processors
    throttled_s: float = 0.0  # for which a quota held processes back


@dataclass(frozen=True, slots=True)
class LogLine:
    """What a `log` step of the scenario wrote."""

    time: float
    user: str
    text: str

    def __str__(self) -> str:
        return f"{self.time:.3f} s  {self.user}: {self.text}"


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
    log: Sequence[LogLine] = ()  # the latest lines that the scenario's `log` steps wrote, by time
    shards: int = 1
    interrupted_by: str = ""  # the signal that ended the run before its time: SIGINT, SIGTERM, SIGHUP

    @property
    def exit_code(self) -> Exit:
        """The exit code that belongs to the verdict; of an interrupted run, that of the signal."""
        if self.verdict is Verdict.INTERRUPTED and self.interrupted_by in Exit.__members__:
            return Exit[self.interrupted_by]
        return EXIT_CODES[self.verdict]

    @property
    def judged_kinds(self) -> list[str]:
        """The kinds of violations that fail this run by the rules of its scenario."""
        judged = set(() if self.audit is None else self.audit.failing)
        if self.accounts is not None:
            users, sends, deliveries = self.accounts.users, self.accounts.sends, self.accounts.deliveries
            judged |= {"absent"} if users.judged else set()
            judged |= {"unsent"} if sends.judged and sends.planned else set()
            judged |= {"missed"} if deliveries.judged and sends.planned and "lost" in judged else set()
        return [kind for kind in KINDS if kind in judged]

    @property
    def violation_counts(self) -> dict[str, int]:
        """How often each kind was found; of users, sends and missed deliveries only what is not allowed."""
        counts = dict.fromkeys(KINDS, 0)
        if self.audit is not None:
            counts.update({kind: self.audit.counts.get(kind, 0) for kind in KINDS})
        if self.accounts is not None:
            for item in self.accounts.shortfalls:
                if item.kind in counts and not item.by_generator:
                    counts[item.kind] += item.count
        return counts
