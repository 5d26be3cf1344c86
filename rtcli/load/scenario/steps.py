"""What a user of a scenario does, step by step: one immutable value per kind of step.

Times are in seconds, rates per second; texts with `${...}` are parsed templates. The comments say what the
engine does; the language that people write is in docs/scenarios.md.
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
    """Where in the scenario file something stands; both from 1."""

    line: int
    column: int


class Kill(StrEnum):
    """How a connection dies: reset, closed without the protocol's goodbye, or silent with the socket open."""

    RST = "rst"
    FIN = "fin"
    BLACKHOLE = "blackhole"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBase:
    """What every step has: a short name for tags and messages ("2.send"), and its place in the file."""

    label: str = ""
    location: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect(StepBase):
    """Open the connection. `rooms` is for protocols that say with the request what they want (SSE)."""

    rooms: tuple[Template, ...] = ()
    path: Template | None = None  # instead of the protocol's own path
    headers: Mapping[str, Template] = field(default_factory=dict)
    events: bool = False  # also ask for personal and broadcast events
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(StepBase):
    """Enter a room and wait for the confirmation: from then on its messages are expected."""

    room: Template
    history: int = 0
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave(StepBase):
    """Leave a room: from the start of this step nothing more of it is expected."""

    room: Template
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Send(StepBase):
    """Send messages.

    Without `rate`: one message (or `count`, one after another), due now. With `rate`: an open timetable,
    which does not wait for answers, until `count` messages or `time` seconds are done, or else to the end
    of the run.
    """

    room: Template
    text: Template | None = None  # None: the audit's token alone
    size: int | None = None  # pad the text to this many characters
    rate: float | None = None
    spread: Literal["even", "poisson"] = "even"
    count: int | None = None
    time: Distribution | None = None
    ack: bool = True  # ask for an acknowledgement, and wait for it when there is no `rate`
    audit: bool = True  # False: without a token, not accounted for
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Typing(StepBase):
    """Say that the user is typing (ephemeral); `rate`, `count` and `time` as in `Send`."""

    room: Template
    is_typing: bool = True
    rate: float | None = None
    count: int | None = None
    time: Distribution | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect(StepBase):
    """Wait for a frame that matches, among all since the step before this one began; counted in `checks`."""

    type: Template | None = None
    where: Mapping[str, Template] = field(default_factory=dict)  # path in the JSON -> text that it must equal
    contains: Template | None = None  # in the raw text
    within: float = 5.0
    count: int = 1
    absent: bool = False  # `not: true`: fails if such a frame comes
    capture: Mapping[str, str] = field(default_factory=dict)  # name in ${session.name} -> path in the JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Think(StepBase):
    """Pause between actions; the connection stays and is read."""

    time: Distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(StepBase):
    """Stay connected and read, for `time` or (None) to the end of the user's stay."""

    time: Distribution | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop(StepBase):
    """Repeat steps `times`, or for `time`, or (both None) to the end of the stay; a round is an iteration."""

    steps: tuple[Step, ...]
    times: int | None = None
    time: Distribution | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to go on, taken in proportion to its weight."""

    weight: float
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choose(StepBase):
    """Take one of several ways at random."""

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
    """Let everyone pass who waits for this signal, now and later."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect(StepBase):
    """Close the connection as the protocol wants it."""

    code: int = 1000
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KillStep(StepBase):
    """Lose the connection; what comes meanwhile is expected after `resume`."""

    how: Kill


@dataclass(frozen=True, slots=True, kw_only=True)
class BackoffStep(StepBase):
    """Wait before coming back; consecutive failed attempts to come back count up."""

    backoff: Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(StepBase):
    """Connect again, join the rooms of before, and ask for what was missed (positions, `Last-Event-ID`)."""

    expect: Literal["any", "recovered", "fresh"] = "any"
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Http(StepBase):
    """One HTTP request to the deployment; a status outside `status` fails the check."""

    method: str = "GET"
    path: Template
    json: object = None  # a tree with Templates as its texts
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
    """Every step, those inside loops and choices included, in the order in which they stand."""
    for step in steps:
        yield step
        if isinstance(step, Loop):
            yield from walk(step.steps)
        elif isinstance(step, Choose):
            for choice in step.choices:
                yield from walk(choice.steps)
