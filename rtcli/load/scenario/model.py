"""A scenario as the load tester runs it: who the users are, what they do and when, and what counts as good.

Plain immutable values, made by `scenario_loader` from YAML and interpreted by the engine. Times are in
seconds, rates per second, sizes in bytes, shares from 0 to 1; texts with `${...}` are parsed templates.
Everything pickles, since workers are processes. What a user does step by step is in `scenario_steps`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rtcli.load.scenario.distributions import Backoff, Distribution, Zipf
from rtcli.load.scenario.expressions import Template
from rtcli.load.scenario.steps import Kill, Location, Step

DEFAULT_RECONNECT = Backoff(0.25, 5.0)


@dataclass(frozen=True, slots=True)
class Ramp:
    """Share of a role's users that should be there, from start to end of a phase, in a straight line."""

    start: float
    end: float

    def at(self, fraction: float) -> float:
        """The share when `fraction` (0 to 1) of the phase is over."""
        return self.start + (self.end - self.start) * fraction


@dataclass(frozen=True, slots=True)
class Cut:
    """At `at` seconds into the phase, a share of the roles' connections die at once."""

    roles: tuple[str, ...]
    share: float
    how: Kill
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the run's time. Phases follow one another; their durations add up to the run's."""

    name: str
    duration: float
    users: Ramp  # resolved: a phase that says nothing keeps the level at which the one before ended
    role_users: Mapping[str, Ramp] = field(default_factory=dict)  # overrides `users` for these roles
    rates: float = 1.0  # multiplies every send rate
    cut: Cut | None = None
    publish: bool = True  # False: timetables stop, and nothing new is sent

    def ramp(self, role: str) -> Ramp:
        """The curve that applies to `role`."""
        return self.role_users.get(role, self.users)


@dataclass(frozen=True, slots=True)
class Role:
    """People who do the same things. Exactly one of `users` (a number) and `arrivals` (per second) is set."""

    name: str
    flow: tuple[Step, ...]
    users: int | None = None
    arrivals: float | None = None
    spread: Literal["poisson", "even"] = "poisson"  # of arrivals
    stay: Distribution | None = None  # how long one that arrived stays; None: until its flow is done
    protocol: str | None = None  # None: the target's
    read: float | None = None  # bytes per second at most, by TCP back-pressure; None: as fast as they come
    expect_close: frozenset[int] = frozenset()  # close codes that the server may end these connections with
    reconnect: Backoff | None = DEFAULT_RECONNECT  # after a loss that is not a `kill`; None: never
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Feeder:
    """Data for `${name}`: rows of a file, listed or generated values, or (`lorem`) words made up anew."""

    name: str
    rows: tuple[object, ...] = ()  # texts, or mappings for `${name.column}`
    lorem: tuple[int, int] | None = None  # fewest and most words
    pick: Literal["random", "sequence", "unique"] | Zipf = "random"
    each: Literal["user", "use"] = "user"  # drawn once per user, or anew at each use


@dataclass(frozen=True, slots=True)
class FrameMatch:
    """How to know a JSON frame, and where in it to find what matters (paths like `data.room`)."""

    match: Mapping[str, object]
    room: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Frames:
    """The `json` protocol's frames: trees with Templates as texts; names in them: room text id user role."""

    send: object
    data: FrameMatch
    join: object = None
    leave: object = None
    joined: FrameMatch | None = None
    ack: FrameMatch | None = None
    error: FrameMatch | None = None
    hello: object = None  # sent once after connecting


@dataclass(frozen=True, slots=True)
class HttpPublish:
    """How users of event streams publish: a request. Templates with the names room text id user role."""

    path: Template
    body: object  # a tree, sent as JSON; or one Template, sent as text
    method: str = "POST"
    status: frozenset[int] = frozenset({200, 201, 202, 204})


@dataclass(frozen=True, slots=True)
class Target:
    """What is spoken, and where (an address given on the command line wins)."""

    protocol: str = "rtcli"
    url: str | None = None
    path: Template | None = None
    headers: Mapping[str, Template] = field(default_factory=dict)
    subprotocols: tuple[str, ...] = ()
    frames: Frames | None = None
    publish: HttpPublish | None = None  # None: as our own server has it
    serve: Mapping[str, object] = field(default_factory=dict)  # settings of the server that `--serve` starts


@dataclass(frozen=True, slots=True)
class AuditRules:
    """What the delivery audit holds the deployment to."""

    delivery: Literal["exactly-once", "at-least-once", "at-most-once", "none"] = "exactly-once"
    order: Literal["per-room", "per-publisher", "none"] = "per-room"
    late_after: float = 2.0
    gaps: Literal["fail", "allow"] = "fail"  # deliveries that the server said would not come
    self_echo: bool = True  # senders expect their own messages
    settle: float = 5.0  # at the end, how long to wait for what is still expected
    evidence: int = 200  # how many violations are kept with all their frames


Operator = Literal["<", "<=", ">", ">=", "==", "!="]


@dataclass(frozen=True, slots=True)
class ThresholdSpec:
    """`metric{tag:value}: ["p(99) < 250ms"]`. `bound` is in the base unit: seconds, bytes, ratio."""

    metric: str
    tags: Mapping[str, str]
    aggregation: str  # avg min max med p count rate value
    percentile: float | None  # of `p(N)`
    operator: Operator
    bound: float
    text: str  # as written: "p(99) < 250ms"
    abort: bool = False  # end the run as soon as it fails
    after: float = 0.0  # with `abort`: not before this many seconds
    strict: bool = True  # False: reported, does not change the exit code
    no_data: Literal["fail", "pass"] = "fail"
    location: Location | None = None

    @property
    def selector(self) -> str:
        """`metric{tag:value}` as in the file."""
        inner = ",".join(f"{key}:{value}" for key, value in self.tags.items())
        return f"{self.metric}{{{inner}}}" if inner else self.metric


@dataclass(frozen=True, slots=True)
class Scenario:
    """One experiment."""

    name: str
    roles: Mapping[str, Role]
    phases: tuple[Phase, ...]
    description: str = ""
    seed: int = 1
    target: Target = Target()
    data: Mapping[str, Feeder] = field(default_factory=dict)
    audit: AuditRules = AuditRules()
    thresholds: tuple[ThresholdSpec, ...] = ()
    path: str = ""  # the file; empty for a bundled one
    text: str = ""  # the source, for the report
    digest: str = ""  # SHA-256 of the resolved document, to compare like with like

    @property
    def duration(self) -> float:
        """Seconds from the start of the first phase to the end of the last."""
        return sum(phase.duration for phase in self.phases)

    def protocol_of(self, role: Role) -> str:
        """The protocol that the role speaks."""
        return role.protocol or self.target.protocol
