"""Adds up the sends of all workers, and judges them by what the scenario allows. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from rtcli.load.accounts.expected_errors import is_allowed
from rtcli.load.accounts.sends import SendCounts, UnsentGroup, UnsentGroups, WorkerSends
from rtcli.load.results.accounts import SendsAccount, Shortfall
from rtcli.load.results.model import Violation
from rtcli.load.scenario.model import Scenario
from rtcli.load.scenario.steps import Send, walk


def plans_sends(scenario: Scenario) -> bool:
    """Whether any role sends messages."""
    return any(isinstance(step, Send) for role in scenario.roles.values() for step in walk(role.flow))


class RunSends:
    """The sends of all workers. `base` is the start of the run (µs), `unknown` as in the account."""

    def __init__(
        self, scenario: Scenario, workers: Iterable[WorkerSends], base: int, *, unknown: int = 0
    ) -> None:
        self._unknown = unknown
        self._scenario = scenario
        self._base = base
        self._roles: dict[str, SendCounts] = {}
        groups = UnsentGroups()
        for worker in workers:
            for name, count in worker.roles.items():
                self._roles.setdefault(name, SendCounts()).add(count)
            for group in worker.groups:
                groups.merge(group)
        self._groups = groups.all()
        self._allowed = self._judge()

    def _judge(self) -> list[bool]:
        """Whether each group is allowed. Shares are of the role's messages that were due and not excused."""
        totals: defaultdict[str, Counter[str]] = defaultdict(Counter)
        errors: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for name, count in self._roles.items():
            totals[name].update(count.accepted)
        for group in self._groups:
            totals[group.key.role][group.key.phase] += group.count
            errors[group.key.role, group.key.code][group.key.phase] += group.count
        return [
            is_allowed(
                self._scenario.roles[group.key.role].expect_errors,
                group.key.code,
                group.key.phase,
                errors[group.key.role, group.key.code],
                totals[group.key.role],
            )
            for group in self._groups
        ]

    def account(self) -> SendsAccount:
        """The account."""
        counts = self._roles.values()
        outcomes: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        for group in self._groups:
            outcomes[group.key.outcome] += group.count
            if group.key.outcome == "refused":
                refused[group.key.code] += group.count
        accepted = sum(sum(count.accepted.values()) for count in counts)
        excused = sum(sum(count.excused.values()) for count in counts)
        return SendsAccount(
            due=accepted + excused + sum(outcomes.values()),
            sent=accepted + sum(count.excused_sent + count.unsent_sent for count in counts),
            accepted=accepted,
            refused=dict(refused.most_common()),
            unanswered=outcomes["unanswered"],
            not_sendable=outcomes["not_sendable"],
            excused=excused,
            unconfirmed=sum(count.unconfirmed for count in counts),
            unknown=self._unknown,
            acks=not any(count.unconfirmed for count in counts),
            shortfalls=tuple(
                self._shortfall(group, allowed=allowed)
                for group, allowed in zip(self._groups, self._allowed, strict=True)
            ),
            planned=plans_sends(self._scenario),
            judged=self._scenario.sends,
        )

    def evidence(self) -> Sequence[Violation]:
        """The messages that the scenario does not allow to be missing, as far as they were kept."""
        if not self._scenario.sends:
            return []
        pairs = zip(self._groups, self._allowed, strict=True)
        return [row for group, allowed in pairs if not (allowed or group.key.own) for row in group.evidence]

    def _shortfall(self, group: UnsentGroup, *, allowed: bool) -> Shortfall:
        key = group.key
        return Shortfall(
            kind="unsent",
            role=key.role,
            code=key.code,
            cause=key.cause,
            count=group.count,
            room=group.room,
            phase=key.phase,
            who=tuple(group.who),
            first=round((group.first - self._base) / 1e6, 6),
            last=round((group.last - self._base) / 1e6, 6),
            allowed=allowed,
            own=key.own,
            outcome=key.outcome,
        )
