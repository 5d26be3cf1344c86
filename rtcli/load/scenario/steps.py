"""What a user of a scenario does, step by step: one immutable value per kind of step.

Times are in seconds, rates per second; texts with `${...}` are parsed templates. The docstrings say what
users do; docs/scenarios.md describes the language of the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from rtcli.load.scenario.distributions import Backoff, Distribution
from rtcli.load.scenario.expressions import Template


@dataclass(frozen=True, slots=True)
class Location:
    """A place in the scenario file; both count from 1."""

    line: int
    column: int


class Kill(StrEnum):
    """How a connection dies: reset, closed without a close frame, or silent while the socket stays open."""

    RST = "rst"
    FIN = "fin"
    BLACKHOLE = "blackhole"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBase:
    """The fields of every step: a short name for tags and messages ("2.send"), and its place in the file."""

    label: str = ""
    location: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect(StepBase):
    """Open the connection. `rooms` is for protocols that name them in the request (SSE)."""

    rooms: tuple[Template, ...] = ()
    path: Template | None = None  # instead of the protocol's own path
    headers: Mapping[str, Template] = field(default_factory=dict)
    events: bool = False  # also ask for personal and broadcast events
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(StepBase):
    """Join a room and wait for the confirmation; from then on, its messages are expected."""

    room: Template
    history: int = 0
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave(StepBase):
    """Leave a room; from the start of this step, its messages are no longer expected."""

    room: Template
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Send(StepBase):
    """Send messages.

    Without `rate`: one message now, or `count` messages one after another. With `rate`: an open schedule,
    which does not wait for answers, until `count` messages are sent or `time` seconds have passed, or else
    until the end of the run.
    """

    room: Template
    text: Template | None = None  # None: the audit's token alone
    size: int | None = None  # pad the text to this many characters
    rate: float | None = None
    spread: Literal["even", "poisson"] = "even"
    count: int | None = None
    time: Distribution | None = None
    ack: bool = True  # ask for an acknowledgement, and wait for it when there is no `rate`
    audit: bool = True  # False: without a token, and ignored by the audit
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Typing(StepBase):
    """Send a typing indicator, which no log keeps; `rate`, `count` and `time` as in `Send`."""

    room: Template
    is_typing: bool = True
    rate: float | None = None
    count: int | None = None
    time: Distribution | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect(StepBase):
    """Wait for a matching frame, among all since the step before began; counted in the metric `checks`."""

    type: Template | None = None
    where: Mapping[str, Template] = field(default_factory=dict)  # path in the JSON -> the text to find there
    contains: Template | None = None  # in the raw text
    within: float = 5.0
    count: int = 1
    absent: bool = False  # `not: true`: the check fails if such a frame comes
    capture: Mapping[str, str] = field(default_factory=dict)  # name in ${session.name} -> path in the JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Think(StepBase):
    """Pause between actions; the connection stays and is read."""

    time: Distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(StepBase):
    """Stay connected and read, for `time` or (None) until the end of the user's stay."""

    time: Distribution | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop(StepBase):
    """Repeat steps `times`, or for `time`, or (both None) until the end of the user's stay."""

    steps: tuple[Step, ...]
    times: int | None = None
    time: Distribution | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A branch of `Choose`, taken in proportion to its weight."""

    weight: float
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choose(StepBase):
    """Take one of several branches at random."""

    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(StepBase):
    """Wait: exactly one of `barrier` (until `users` have come), `signal`, `phase` (until it begins)."""

    barrier: str | None = None
    users: int = 0
    signal: str | None = None
    phase: str | None = None
    timeout: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal(StepBase):
    """Give a signal: all who wait for it go on, and so do all who come later."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect(StepBase):
    """Close the connection with the close handshake of its protocol."""

    code: int = 1000
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KillStep(StepBase):
    """Lose the connection. Messages that are published meanwhile are expected after `resume`."""

    how: Kill


@dataclass(frozen=True, slots=True, kw_only=True)
class BackoffStep(StepBase):
    """Wait before reconnecting. The delay grows with each failed attempt in a row."""

    backoff: Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(StepBase):
    """Connect again, join the same rooms, and ask for what was missed (positions, `Last-Event-ID`)."""

    expect: Literal["any", "recovered", "fresh"] = "any"
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Http(StepBase):
    """One HTTP request to the deployment; a status outside `status` fails the check."""

    method: str = "GET"
    path: Template
    json: object = None  # JSON whose texts are Templates
    headers: Mapping[str, Template] = field(default_factory=dict)
    status: frozenset[int] = frozenset({200, 201, 202, 204})
    capture: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Log(StepBase):
    """Write a line to the run's log."""

    text: Template


Step = (
    Connect | Join | Leave | Send | Typing | Expect | Think | Hold | Loop | Choose | Wait | Signal
    | Disconnect | KillStep | BackoffStep | Resume | Http | Log
)  # fmt: skip


def walk(steps: tuple[Step, ...]) -> Iterator[Step]:
    """Every step in the order of the file, including those inside loops and choices."""
    for step in steps:
        yield step
        if isinstance(step, Loop):
            yield from walk(step.steps)
        elif isinstance(step, Choose):
            for choice in step.choices:
                yield from walk(choice.steps)
