"""The rooms in which a user should be by plan: for what it misses while it is absent without leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from rtcli.load.accounts.absence import RoomByPlan
from rtcli.load.scenario.distributions import Const
from rtcli.load.scenario.expressions import BUILTINS, MissingDataError, Template
from rtcli.load.scenario.steps import Connect, Hold, Join, Log, Loop, Signal, Think, walk
from rtcli.load.users.context import UserContext
from rtcli.load.users.memberships import Memberships


class PlannedRooms:
    """The rooms of a user: those that it is in, and those that its flow joins next.

    Only joins that surely follow the user's current step are told: up to the first step that takes an unknown
    time, or leaves, or chooses; and only rooms whose names are known before.
    """

    __slots__ = ("_memberships", "_user")

    def __init__(self, user: UserContext, memberships: Memberships) -> None:
        self._user = user
        self._memberships = memberships

    def __call__(self) -> Sequence[RoomByPlan]:
        """The rooms now."""
        found = {
            member.room: RoomByPlan(member.room, joined=member.joined is not None)
            for member in self._memberships
            if member.leaving is None
        }
        for template, after in self._ahead():
            room = self.name(template)
            if room is not None:
                found.setdefault(room, RoomByPlan(room, after))
        return tuple(found.values())

    def _ahead(self) -> Iterator[tuple[Template, int]]:
        """The rooms of the joins that follow, and how many µs later."""
        after, reached = 0, False
        for step in walk(self._user.role.flow):
            is_current = step is self._user.step
            reached = reached or is_current
            if not reached:
                continue
            if isinstance(step, Join):
                yield step.room, after
            elif isinstance(step, Connect) and is_current:
                yield from ((room, after) for room in step.rooms)
            elif isinstance(step, Think | Hold) and isinstance(step.time, Const):
                after += round(step.time.value * 1e6)
            elif not isinstance(step, Log | Signal | Loop):
                return

    def name(self, template: Template) -> str | None:
        """The room's name; None when it is drawn at each use."""
        if template.constant is not None:
            return template.constant
        feeders, scope = self._user.worker.feeders, self._user.scope
        if not all(path[0] in BUILTINS or feeders.once(path[0]) for path in template.paths):
            return None
        try:
            names = {str(template.render(scope, Random(seed))) for seed in (1, 2)}  # noqa: S311 - compared only
        except MissingDataError:
            return None
        return names.pop() if len(names) == 1 else None
