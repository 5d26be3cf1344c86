"""The three accounts of a run: users, sends and deliveries, each compared with what the scenario planned.

A run is whole when all three are: everybody who should have been there was there, everything that should have
been said was said and accepted, and all of it arrived. What is missing from an account is a `Shortfall`,
grouped by its cause.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

ShortfallKind = Literal["absent", "interrupted", "unsent", "missed"]
"""absent: never there, or gone at the end of its part. interrupted: kept out for a time, or lost and back."""

MAX_WHO = 5
"""The number of users that a shortfall names."""

GENERATOR = "generator_"
"""With this begin the codes of what the load generator itself caused: `generator_ports` …"""

GENERATOR_BUG = "generator_bug"
"""A bug of the load generator or an adapter; with its other codes, it lacked the means."""


_ROUNDING = 1e-9  # of shares, which are binary fractions


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What is missing from an account for one cause: users, sends, or deliveries. Times are of the run."""

    kind: ShortfallKind
    role: str
    code: str  # what `expect_errors` of a role names: http_503, close_1000, no_answer, rate_limited …
    cause: str  # for people: "the server answered 503 to the handshake"
    count: int  # of users, sends or deliveries
    room: str = ""  # "" where it concerns no room, or several
    phase: str = ""  # in which it began
    who: tuple[str, ...] = ()  # some of the users, at most MAX_WHO
    first: float | None = None  # seconds since the start of the run
    last: float | None = None
    user_seconds: float = 0.0  # of presence that are missing
    allowed: bool = False  # the scenario says that this may happen
    own: bool = False  # the load generator itself failed, or lacked the means
    outcome: str = ""  # of messages: refused, unanswered, not_sendable

    @property
    def by_generator(self) -> bool:
        """Whether the load generator itself caused it, so that it says nothing about the server."""
        return self.own or self.code.startswith(GENERATOR)

    @property
    def is_bug(self) -> bool:
        """Whether a bug of the load generator or of an adapter caused it."""
        return self.code == GENERATOR_BUG


@dataclass(frozen=True, slots=True)
class PhaseAttendance:
    """The user-seconds of one role in one phase."""

    phase: str
    planned_s: float
    present_s: float

    @property
    def share(self) -> float:
        """The share of the planned user-seconds; 1 where none was planned."""
        return self.present_s / self.planned_s if self.planned_s > 0 else 1.0


@dataclass(frozen=True, slots=True)
class RoleAttendance:
    """Who of a role was there. `present` users took part, and were there at the end of their part."""

    role: str
    planned: int
    present: int
    interrupted: int = 0  # kept out for a time, or lost without leave, and back
    planned_s: float = 0.0  # user-seconds
    present_s: float = 0.0
    required: float | None = 0.99  # share of the planned user-seconds; None: not judged
    phases: Sequence[PhaseAttendance] = ()

    @property
    def share(self) -> float:
        """The share of the planned user-seconds; 1 where none was planned."""
        return self.present_s / self.planned_s if self.planned_s > 0 else 1.0

    @property
    def is_short(self) -> bool:
        """Whether the role was present for less time than the scenario asks for."""
        return self.required is not None and self.share < self.required - _ROUNDING


@dataclass(frozen=True, slots=True)
class UsersAccount:
    """Who should have been there, and who was."""

    roles: Sequence[RoleAttendance] = ()
    shortfalls: Sequence[Shortfall] = ()
    judged: bool = True

    @property
    def planned(self) -> int:
        """The number of users who should have taken part."""
        return sum(role.planned for role in self.roles)

    @property
    def present(self) -> int:
        """The number of users who took part until the end of their part."""
        return sum(role.present for role in self.roles)

    @property
    def interrupted(self) -> int:
        """The number of users who were lost without leave and came back."""
        return sum(role.interrupted for role in self.roles)


@dataclass(frozen=True, slots=True)
class SendsAccount:
    """What should have been said. due = accepted + refused + unanswered + not sendable + excused.

    A message without an acknowledgement (`acks` False: some have none) counts as accepted when it is sent,
    unless the server broke the connection off before anybody had received it.
    """

    due: int = 0
    sent: int = 0
    accepted: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)  # by code
    unanswered: int = 0
    not_sendable: int = 0
    excused: int = 0  # prevented by what the scenario itself does
    unconfirmed: int = 0  # of the accepted: sent without an acknowledgement, so nobody knows
    unknown: int = 0  # of those: nobody has received it, and nobody can tell whether somebody should have
    acks: bool = True
    planned: bool = True  # False: no role sends anything
    shortfalls: Sequence[Shortfall] = ()
    judged: bool = True


@dataclass(frozen=True, slots=True)
class DeliveriesAccount:
    """What should have arrived by plan: what the audit expects, and what absent users missed."""

    planned: int = 0
    delivered: int = 0
    missed: int = 0  # published while its receiver was absent without leave, and not delivered later
    shortfalls: Sequence[Shortfall] = ()
    judged: bool = True
    indeterminate: int = 0  # not planned: nobody can tell, its receiver was joining, leaving or cut off


@dataclass(frozen=True, slots=True)
class Accounts:
    """All three."""

    users: UsersAccount = UsersAccount()
    sends: SendsAccount = SendsAccount()
    deliveries: DeliveriesAccount = DeliveriesAccount()

    @property
    def shortfalls(self) -> list[Shortfall]:
        """What is missing and not allowed, in the order users, sends, deliveries."""
        accounts = (self.users, self.sends, self.deliveries)
        return [
            item for account in accounts if account.judged for item in account.shortfalls if not item.allowed
        ]
