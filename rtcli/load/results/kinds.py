"""The kinds of violations: what each means, whose account it is missing from, and which rule allows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rtcli.load.scenario.model import AuditRules

AccountName = Literal["users", "sends", "deliveries"]


@dataclass(frozen=True, slots=True)
class ViolationKind:
    """One kind of violation. `meaning` is a predicate; its subject is a user, of `unsent` the message."""

    name: str
    account: AccountName
    meaning: str
    rules: tuple[str, ...]  # keys of the scenario that say whether it fails the run

    @property
    def words(self) -> str:
        """The name for people: `resume gap`."""
        return words_of(self.name)

    @property
    def sentence(self) -> str:
        """What happened: `a receiver never got it`."""
        subject = {"users": "a user", "sends": "a message", "deliveries": "a receiver"}[self.account]
        return f"{subject} {self.meaning}"

    @property
    def claim(self) -> str:
        """What holds where there is none: `no delivery is lost`."""
        noun = {"users": "user", "sends": "message", "deliveries": "delivery"}[self.account]
        return f"no {noun} is {self.words}"


_AUDITED = (
    ViolationKind("lost", "deliveries", "never got it", ("audit.delivery",)),
    ViolationKind("duplicate", "deliveries", "got it more than once", ("audit.delivery",)),
    ViolationKind("reordered", "deliveries", "got it out of order", ("audit.order",)),
    ViolationKind(
        "resume_gap",
        "deliveries",
        "lost it while away, although nothing was said to be missing",
        ("audit.delivery",),
    ),
    ViolationKind("leak", "deliveries", "got it without being a member of its room", ("audit.delivery",)),
    ViolationKind("phantom", "deliveries", "got something that this run never sent", ("audit.delivery",)),
    ViolationKind(
        "ghost", "deliveries", "got it although its sender was told that it failed", ("audit.delivery",)
    ),
    ViolationKind("corrupt", "deliveries", "got it changed on the way", ("audit.delivery", "audit.text")),
)
_ALL = (
    ViolationKind(
        "absent", "users", "was not there, although it should have been", ("attendance", "expect_errors")
    ),
    ViolationKind("unsent", "sends", "could not be sent, or was not accepted", ("sends", "expect_errors")),
    ViolationKind(
        "missed",
        "deliveries",
        "did not get it, since it was absent without leave",
        ("audit.delivery", "attendance"),
    ),
    *_AUDITED,
    ViolationKind("gap_declared", "deliveries", "did not get it, as the server said", ("audit.gaps",)),
)

UNJUDGED: Mapping[AccountName, str] = {
    "users": "attendance: off",
    "sends": "sends: off",
    "deliveries": "audit: { delivery: none }",
}
"""What a scenario says so that an account is not judged."""

KINDS: Mapping[str, ViolationKind] = {kind.name: kind for kind in _ALL}
"""Every kind, in the order in which reports show them."""

VIOLATIONS = tuple(kind.name for kind in _AUDITED)
"""The kinds that the delivery audit finds and that always break a promise; not `gap_declared`."""


def words_of(kind: str) -> str:
    """The name of a kind for people; also of one that a later version has."""
    return kind.replace("_", " ")


_ALLOWED: Mapping[str, tuple[str, ...]] = {
    "exactly-once": (),
    "at-least-once": ("duplicate",),
    "at-most-once": ("lost", "resume_gap"),
    "none": VIOLATIONS,
}


def failing_kinds(rules: AuditRules) -> tuple[str, ...]:
    """The kinds of the delivery audit that fail a run under these rules."""
    allowed = set(_ALLOWED[rules.delivery])
    if rules.order == "none":
        allowed.add("reordered")
    kinds = [kind for kind in VIOLATIONS if kind not in allowed]
    if rules.gaps == "fail" and rules.delivery in {"exactly-once", "at-least-once"}:
        kinds.append("gap_declared")
    return tuple(kinds)
