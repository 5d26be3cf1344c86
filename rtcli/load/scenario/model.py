"""A scenario as the load tester runs it: who the users are, what they do and when, and what counts as good.

Immutable values, which `loader` makes from YAML and users follow. Times are in seconds, rates per
second, sizes in bytes, shares from 0 to 1; texts with `${...}` are parsed templates. All values pickle, since
workers are processes. `steps` has what a user does, step by step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rtcli.load.scenario.distributions import Backoff, Distribution, Zipf
from rtcli.load.scenario.expressions import Template
from rtcli.load.scenario.steps import Kill, Location, Step

DEFAULT_RECONNECT = Backoff(0.25, 5.0)
DEFAULT_ATTENDANCE = 0.99


@dataclass(frozen=True, slots=True)
class Ramp:
    """The share of a role's users that should be present: linear from the start to the end of a phase."""

    start: float
    end: float

    def at(self, fraction: float) -> float:
        """The share when `fraction` (0 to 1) of the phase is over."""
        return self.start + (self.end - self.start) * fraction


@dataclass(frozen=True, slots=True)
class Cut:
    """A share of the roles' connections die at once, `at` seconds after the start of the phase."""

    roles: tuple[str, ...]
    share: float
    how: Kill
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the run's time. Phases follow one another; their durations add up to the run's."""

    name: str
    duration: float
    users: Ramp  # resolved: without `users`, a phase keeps the level at which the one before it ended
    role_users: Mapping[str, Ramp] = field(default_factory=dict)  # overrides `users` for these roles
    rates: float = 1.0  # multiplies every send rate
    cut: Cut | None = None
    publish: bool = True  # False: send schedules stop, and nothing new is sent

    def ramp(self, role: str) -> Ramp:
        """The curve that applies to `role`."""
        return self.role_users.get(role, self.users)


@dataclass(frozen=True, slots=True)
class ExpectedError:
    """An error that a role's sends, or its attempts to connect, may end with: its code, as reports tell it.

    `share` is of the sends due (or the users planned) in `phase`; None: in the whole run.
    """

    code: str  # rate_limited, http_503, close_1013, no_answer ...
    share: float = 1.0
    phase: str | None = None


STREAM_END = 0
"""The end of an event stream among close codes, of which HTTP has none: the response was complete."""

STREAM_BROKEN = 1
"""The same of a stream that broke off: its response was not complete, or the connection was lost."""

STREAM_ENDS = {STREAM_END: "stream_ended", STREAM_BROKEN: "stream_broken"}
"""Their names."""


def close_name(code: int) -> str:
    """A close code as tags, notes and scenarios have it: `1006`, `stream_ended`, or `stream_broken`."""
    return STREAM_ENDS.get(code) or str(code)


@dataclass(frozen=True, slots=True)
class Role:
    """Users who do the same things. Exactly one of `users` (a number) and `arrivals` (per second) is set."""

    name: str
    flow: tuple[Step, ...]
    users: int | None = None
    arrivals: float | None = None
    spread: Literal["poisson", "even"] = "poisson"  # of arrivals
    stay: Distribution | None = None  # how long a user stays after its arrival; None: until its flow ends
    protocol: str | None = None  # None: the target's
    read: float | None = None  # at most this many bytes per second, by TCP back-pressure; None: no limit
    expect_close: frozenset[int] = frozenset()  # close codes, or STREAM_ENDS, that are as they should be
    expect_errors: tuple[ExpectedError, ...] = ()
    reconnect: Backoff | None = DEFAULT_RECONNECT  # after a loss other than a `kill` step; None: never
    attendance: float | None = None  # as in Scenario; None: the scenario's
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Feeder:
    """Data for `${name}`: rows of a file, listed or generated values, or (`lorem`) random words."""

    name: str
    rows: tuple[object, ...] = ()  # texts, or mappings for `${name.column}`
    lorem: tuple[int, int] | None = None  # fewest and most words
    pick: Literal["random", "sequence", "unique"] | Zipf = "random"
    each: Literal["user", "use"] = "user"  # drawn once per user, or again at each use


@dataclass(frozen=True, slots=True)
class FrameMatch:
    """How to recognize a JSON frame, and the paths (like `data.room`) of room, id and text in it."""

    match: Mapping[str, object]
    room: str | None = None
    id: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of the `json` protocol: JSON with templates, which may use room, text, id, user and role."""

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
    """The request by which users of event streams publish; its templates may use the names as in `Frames`."""

    path: Template
    body: object  # JSON with templates; or one Template, which is sent as text
    method: str = "POST"
    status: frozenset[int] = frozenset({200, 201, 202, 204})


@dataclass(frozen=True, slots=True)
class Target:
    """The protocol and address of the deployment. An address given on the command line wins."""

    protocol: str = "rtcli"
    url: str | None = None
    path: Template | None = None
    headers: Mapping[str, Template] = field(default_factory=dict)
    subprotocols: tuple[str, ...] = ()
    frames: Frames | None = None
    publish: HttpPublish | None = None  # None: the API of our own server
    serve: Mapping[str, object] = field(default_factory=dict)  # settings of the server that `--serve` starts


@dataclass(frozen=True, slots=True)
class AuditRules:
    """The guarantees that the delivery audit checks the deployment for."""

    delivery: Literal["exactly-once", "at-least-once", "at-most-once", "none"] = "exactly-once"
    order: Literal["per-room", "per-publisher", "none"] = "per-room"
    text: Literal["whole", "token"] = "whole"  # token: the server may change what is around it
    late_after: float = 2.0
    gaps: Literal["fail", "allow"] = "fail"  # deliveries that the server declared as lost
    self_echo: bool = True  # senders expect their own messages
    settle: float = 5.0  # how long to wait at the end for deliveries that are still expected
    evidence: int = 200  # number of violations that are kept with all their frames


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
    abort: bool = False  # end the run as soon as the threshold fails
    after: float = 0.0  # with `abort`: not before this many seconds
    strict: bool = True  # False: a failure is reported and does not change the exit code
    no_data: Literal["fail", "pass"] = "fail"
    location: Location | None = None

    @property
    def selector(self) -> str:
        """`metric{tag:value}` as in the file."""
        inner = ",".join(f"{key}:{value}" for key, value in self.tags.items())
        return f"{self.metric}{{{inner}}}" if inner else self.metric


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load test."""

    name: str
    roles: Mapping[str, Role]
    phases: tuple[Phase, ...]
    description: str = ""
    seed: int = 1
    target: Target = Target()
    data: Mapping[str, Feeder] = field(default_factory=dict)
    audit: AuditRules = AuditRules()
    attendance: float = DEFAULT_ATTENDANCE  # share of the planned time for which users must be there; 0: off
    sends: bool = True  # whether messages that are due must be accepted
    thresholds: tuple[ThresholdSpec, ...] = ()
    path: str = ""  # the file; empty for a bundled one
    text: str = ""  # the source, for the report
    digest: str = ""  # SHA-256 of the document with its overrides: equal for runs that can be compared

    @property
    def duration(self) -> float:
        """Seconds from the start of the first phase to the end of the last."""
        return sum(phase.duration for phase in self.phases)

    @property
    def measured_rooms(self) -> frozenset[str]:
        """The rooms that thresholds name; only these have distributions of their own."""
        return frozenset(spec.tags["room"] for spec in self.thresholds if "room" in spec.tags)

    def protocol_of(self, role: Role) -> str:
        """The protocol that the role speaks."""
        return role.protocol or self.target.protocol
