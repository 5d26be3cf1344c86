"""What the users of one worker share: the clock, the audit, the metrics, the target and its tokens."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any

import httpx

from rtcli.client.endpoint import Endpoint
from rtcli.load.audit.audit import Audit
from rtcli.load.core.feeders import Feeders
from rtcli.load.core.schedule import phase_bounds
from rtcli.load.core.timer_queue import Metronome
from rtcli.load.metrics.store import Bins, MetricStore, Recorder, delivery_moment, moment_of_delivery
from rtcli.load.net.source_addresses import Sources
from rtcli.load.scenario.model import Role, Scenario
from rtcli.protocol.tokens import create_token

MAX_CONNECTING = 200  # connections that a worker opens at the same time
TOKEN_TTL_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where users get their tokens: signed here with a secret, one of a list each, or none."""

    secret: str | None = field(default=None, repr=False)
    tokens: tuple[str, ...] = field(default=(), repr=False)

    def token(self, number: int, user_id: str, name: str, now: float) -> str | None:
        """The token of a user; `now` in Unix seconds."""
        if self.tokens:
            return self.tokens[number % len(self.tokens)]
        if self.secret is None:
            return None
        return create_token(self.secret, sub=user_id, name=name, now=now, ttl_s=TOKEN_TTL_S)


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """All that a worker needs to know. It goes to the worker's process pickled."""

    scenario: Scenario
    endpoint: Endpoint
    address: str  # what its host resolves to
    family: int
    credentials: Credentials
    run: int
    unix_start: float
    worker: int = 0
    workers: int = 1
    insecure: bool = False

    @property
    def run_word(self) -> str:
        """The run's number as a word, for ids and `${run}`."""
        return f"{self.run:06x}"


class Recorders:
    """The recorders of a role, looked up once."""

    def __init__(self, store: MetricStore, role: str, *, by_room: bool) -> None:
        self._store = store
        self._role = role
        self._by_room = by_room
        self._known: dict[tuple[str, str, str], Recorder] = {}

    def get(self, metric: str, *, step: str = "", code: str = "", room: str = "") -> Recorder:
        """The recorder of a metric with this role and what else is given."""
        key = (metric, step or code, room)
        found = self._known.get(key)
        if found is None:
            tags = {"role": self._role, "step": step, "code": code, "room": room}
            given = {name: value for name, value in tags.items() if value}
            found = self._known[key] = self._store.recorder(metric, **given)
        return found

    def deliveries(self, room: str, *, websocket: bool) -> dict[int, int]:
        """Where deliveries in a room are counted; rooms are told apart only where the scenario asks."""
        tags = {"role": self._role, "room": room} if self._by_room else {"role": self._role}
        return self._store.deliveries(websocket=websocket, **tags)


class Engine:
    """One worker's share of a run. Times are microseconds of the monotonic clock."""

    def __init__(self, spec: WorkerSpec, base: int, post: Callable[[tuple[Any, ...]], None]) -> None:
        scenario = spec.scenario
        self.spec = spec
        self.scenario = scenario
        self.base = base
        self.post = post  # to the main process
        self.bins = Bins([(phase.name, phase.duration) for phase in scenario.phases])
        self.store = MetricStore(self.bins)
        complete = self.store.recorder("fanout_complete")
        self.audit = Audit(
            spec.run,
            base,
            moment_of=lambda at, lag: delivery_moment(self.moment(at), lag),
            passed=lambda entry, taken: complete.record(moment_of_delivery(entry.moment), taken),
            order=scenario.audit.order,
            worker=spec.worker,
            workers=spec.workers,
            max_evidence=max(scenario.audit.evidence, 1),
        )
        self.metronome = Metronome()
        self.feeders = Feeders(scenario)
        self.sources = Sources(
            spec.address, spec.endpoint.port, spec.family, worker=spec.worker, workers=spec.workers
        )
        self.connecting = asyncio.Semaphore(MAX_CONNECTING)
        self.tls = tls_of(spec) if spec.endpoint.secure else None
        self.http = httpx.AsyncClient(verify=not spec.insecure, trust_env=False)
        self.connections = 0
        self.users = 0
        self.stopping = False  # the phases are over, or the run was interrupted: nothing new is sent
        self.closing = False  # everybody goes
        self.problems: defaultdict[str, int] = defaultdict(int)  # what went wrong with users, for the notes
        self.log: list[str] = []
        self._doors: dict[str, asyncio.Event] = {}
        self._phases = phase_bounds(scenario.phases)
        by_room = any("room" in threshold.tags for threshold in scenario.thresholds)
        self._roles = {name: Recorders(self.store, name, by_room=by_room) for name in scenario.roles}

    def now(self) -> int:
        """The time."""
        return monotonic_ns() // 1000

    def seconds(self, at: int) -> float:
        """A moment as seconds since the start of the run."""
        return (at - self.base) / 1e6

    def microseconds(self, seconds: float) -> int:
        """Seconds since the start of the run as a moment."""
        return self.base + round(seconds * 1e6)

    def moment(self, at: int) -> int:
        """The bin of a moment."""
        return self.bins.at((at - self.base) / 1e6)

    def recorders(self, role: Role) -> Recorders:
        """The recorders of a role."""
        return self._roles[role.name]

    def count(self, role: Role, metric: str, amount: int = 1, *, code: str = "") -> None:
        """Raise a counter now."""
        self._roles[role.name].get(metric, code=code).add(self.moment(self.now()), amount)

    def phase(self) -> str:
        """The phase that runs now; after the end, the last."""
        now = self.seconds(self.now())
        return next((phase.name for phase, _, end in self._phases if now < end), self._phases[-1][0].name)

    def phase_start(self, name: str) -> int:
        """When a phase begins."""
        return self.microseconds(next(start for phase, start, _ in self._phases if phase.name == name))

    def door(self, name: str) -> asyncio.Event:
        """What a barrier or a signal opens; the main process decides when, since users are in all workers."""
        return self._doors.setdefault(name, asyncio.Event())


def tls_of(spec: WorkerSpec) -> tuple[ssl.SSLContext, str]:
    """What connections to the target verify its certificate with, and its name."""
    context = ssl.create_default_context()
    if spec.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context, spec.endpoint.host
