"""What the parts of one user share: its names, data and random numbers, its recorders, its audit account."""

from __future__ import annotations

import time
from functools import cached_property
from random import Random

from rtcli.load.audit.personal_events import PersonalEvents
from rtcli.load.audit.records import Subscriber
from rtcli.load.core.context import WorkerContext
from rtcli.load.core.feeders import UserScope
from rtcli.load.core.schedule import seeded_rng
from rtcli.load.scenario.model import Role
from rtcli.load.scenario.steps import Step

UNCONFIRMED_US = 1_000_000  # how long a join or leave may take in a protocol that does not confirm it


class UserContext:
    """One user of a role. `index` is its number in the role, `number` its number in the run, both from 0."""

    def __init__(self, worker: WorkerContext, role: Role, index: int, number: int) -> None:
        self.worker = worker
        self.role = role
        self.index = index
        self.number = number
        self.name = f"{role.name} {index + 1}"
        self.id = f"{role.name}-{index + 1}"
        self.recorders = worker.recorders(role)
        self.sends = worker.sends.role(role.name)
        self.subscriber = Subscriber(self.name)
        self.scope = UserScope(
            worker.feeders,
            role=role.name,
            index=index,
            number=number,
            user_id=self.id,
            name=self.name,
            run=worker.spec.run_word,
            rng=lambda: self.rng,
        )
        self.events = PersonalEvents(lambda code, number: self.count("errors", number, code=code))
        self.step: Step | None = None  # at which the flow is; the flow keeps it up to date

    @cached_property
    def rng(self) -> Random:
        """The user's generator of random numbers; made on first use, since it takes 2.5 KB."""
        return seeded_rng(self.worker.scenario.seed, self.role.name, self.index)

    def token(self) -> str | None:
        """A token for this user; None when users have none."""
        return self.worker.spec.credentials.token(self.number, self.id, self.name, time.time())

    def count(self, metric: str, amount: int = 1, *, code: str = "") -> None:
        """Add to a counter of the user's role, in the current bin."""
        self.worker.count(self.role, metric, amount, code=code)

    def expects(self, code: str) -> bool:
        """Whether the role expects errors with this code, of whatever share."""
        return any(error.code == code for error in self.role.expect_errors)

    def report_failure(self, error: Exception) -> None:
        """Record what our own code, an adapter or a template raised for this user: it ends the run."""
        self.worker.failures.record(error, user=self.name, step=self.step)

    def report_problem(self, text: str) -> None:
        """Record what went wrong for the notes of the run, which count equal texts of a role."""
        self.worker.problems[f"{self.role.name}: {text}"] += 1
