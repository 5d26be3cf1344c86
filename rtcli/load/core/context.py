"""What the users of one worker share: clock, audit, metrics, timers, and the target with its credentials."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from dataclasses import dataclass, field
from time import monotonic_ns

import httpx

from rtcli.client.endpoint import Endpoint
from rtcli.client.http import no_cookies
from rtcli.load.accounts.attendance import Attendance
from rtcli.load.accounts.sends import Sends
from rtcli.load.audit.audit import Audit
from rtcli.load.core.failures import Failures
from rtcli.load.core.feeders import Feeders
from rtcli.load.core.latches import Latches
from rtcli.load.core.schedule import phase_bounds
from rtcli.load.core.stalls import Stalls
from rtcli.load.core.stepwise import StepwiseWork
from rtcli.load.core.timer_queue import TimerQueue
from rtcli.load.metrics.store import Bins, MetricStore, Recorder, bin_key_of_delivery, delivery_key
from rtcli.load.net.source_addresses import SourceAddresses
from rtcli.load.scenario.model import Role, Scenario
from rtcli.protocol.content_coding import ACCEPTED
from rtcli.protocol.tokens import create_token

MAX_CONNECTING = 200  # connections that a worker opens at the same time
TOKEN_TTL_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where users get their tokens: signed with a secret, taken from a list, or none at all."""

    secret: str | None = field(default=None, repr=False)
    tokens: tuple[str, ...] = field(default=(), repr=False)

    def token(self, number: int, user_id: str, name: str, now: float) -> str | None:
        """The token of user `number`, or None; `now` is in Unix seconds."""
        if self.tokens:
            return self.tokens[number % len(self.tokens)]
        if self.secret is None:
            return None
        return create_token(self.secret, sub=user_id, name=name, now=now, ttl_s=TOKEN_TTL_S)


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker is started with. It is pickled on its way to the worker's process."""

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
    """The recorders of a role, each looked up in the store once."""

    def __init__(self, store: MetricStore, role: str, *, rooms: frozenset[str]) -> None:
        self._store = store
        self._role = role
        self._rooms = rooms
        self._known: dict[tuple[str, str, str], Recorder] = {}

    def get(self, metric: str, *, step: str = "", code: str = "", room: str = "") -> Recorder:
        """The recorder of a metric, tagged with this role and the tags that are given."""
        key = (metric, step or code, room)
        found = self._known.get(key)
        if found is None:
            tags = {"role": self._role, "step": step, "code": code, "room": room}
            given = {name: value for name, value in tags.items() if value}
            found = self._known[key] = self._store.recorder(metric, **given)
        return found

    def deliveries(self, room: str, *, websocket: bool) -> dict[int, int]:
        """The counts of deliveries in a room; only rooms that thresholds name have counts of their own."""
        tags = {"role": self._role, "room": room} if room in self._rooms else {"role": self._role}
        return self._store.deliveries(websocket=websocket, **tags)


class WorkerContext:
    """What the users of one worker share during a run. Times are microseconds of the monotonic clock."""

    def __init__(self, spec: WorkerSpec, base: int, latches: Latches, failures: Failures) -> None:
        scenario = spec.scenario
        self.failures = failures
        self.spec = spec
        self.scenario = scenario
        self.base = base
        self.latches = latches
        self.bins = Bins([(phase.name, phase.duration) for phase in scenario.phases])
        self.store = MetricStore(self.bins)
        complete = self.store.recorder("fanout_complete")
        self.audit = Audit(
            spec.run,
            base,
            delivery_key_of=lambda at, lag: delivery_key(self.bin_key(at), lag),
            on_complete=lambda entry, taken: complete.record(bin_key_of_delivery(entry.delivery_key), taken),
            order=scenario.audit.order,
            text=scenario.audit.text,
            worker=spec.worker,
            workers=spec.workers,
            max_evidence=max(scenario.audit.evidence, 1),
        )
        self._phases = phase_bounds(scenario.phases)
        phases = [(phase.name, self.microseconds(end)) for phase, _, end in self._phases]
        self.stalls = Stalls()
        self.attendance = Attendance(
            base, phases, keep=scenario.audit.evidence, stood_still=self.stalls.within
        )
        self.sends = Sends(base, phases, phase_of_bin=self.bins.phase, keep=scenario.audit.evidence)
        self.counting = StepwiseWork()  # of what users did not come to
        self.timers = TimerQueue(failures.record)
        self.feeders = Feeders(scenario)
        self.sources = SourceAddresses(
            spec.address, spec.endpoint.port, spec.family, worker=spec.worker, workers=spec.workers
        )
        self.connecting = asyncio.Semaphore(MAX_CONNECTING)
        self.tls = tls_of(spec) if spec.endpoint.secure else None
        self.http = httpx.AsyncClient(
            verify=not spec.insecure,
            trust_env=False,
            headers={"accept-encoding": ACCEPTED},
            cookies=no_cookies(),  # all users share this client
        )
        self.connections = 0
        self.users = 0
        self.stopping = False  # nothing new is sent any more
        self.settling = False  # what was sent only has to arrive
        self.closing = False  # users that are lost do not come back any more
        self.problems: defaultdict[str, int] = defaultdict(int)  # what went wrong, for the notes, with counts
        self.log: list[tuple[float, str, str]] = []  # second of the run, user, text
        rooms = scenario.measured_rooms
        self._roles = {name: Recorders(self.store, name, rooms=rooms) for name in scenario.roles}

    def stop_sending(self, *, complete: bool) -> None:
        """Nothing new is sent: the phases are over, `complete`, or the run ends before its time."""
        self.stopping, self.settling = True, complete

    def stop_reconnecting(self) -> None:
        """Users disconnect from now on, and do not come back."""
        self.closing = True

    def now(self) -> int:
        """The current time."""
        return monotonic_ns() // 1000

    def seconds(self, at: int) -> float:
        """A time as seconds since the start of the run."""
        return (at - self.base) / 1e6

    def microseconds(self, seconds: float) -> int:
        """The time that is `seconds` after the start of the run."""
        return self.base + round(seconds * 1e6)

    def bin_key(self, at: int) -> int:
        """The key of the bin that a time falls into (see `metrics.store`)."""
        return self.bins.at((at - self.base) / 1e6)

    def url(self, path: str) -> httpx.URL:
        """The URL of a path and query at the target. It is built from parts: no path changes the host."""
        endpoint = self.spec.endpoint
        scheme = "https" if endpoint.secure else "http"
        return httpx.URL(scheme=scheme, host=endpoint.host, port=endpoint.port, raw_path=path.encode("ascii"))

    def recorders(self, role: Role) -> Recorders:
        """The recorders of a role."""
        return self._roles[role.name]

    def count(self, role: Role, metric: str, amount: int = 1, *, code: str = "") -> None:
        """Add to a counter of a role, in the current bin."""
        self._roles[role.name].get(metric, code=code).add(self.bin_key(self.now()), amount)

    def phase(self) -> str:
        """The name of the current phase; after the end, of the last one."""
        now = self.seconds(self.now())
        return next((phase.name for phase, _, end in self._phases if now < end), self._phases[-1][0].name)

    def publishes_at(self, at: int) -> bool:
        """Whether the phase at a time lets anything be sent."""
        seconds = self.seconds(at)
        return next(
            (phase.publish for phase, _, end in self._phases if seconds < end), self._phases[-1][0].publish
        )

    def phase_start(self, name: str) -> int:
        """The time at which a phase begins."""
        return self.microseconds(next(start for phase, start, _ in self._phases if phase.name == name))


def tls_of(spec: WorkerSpec) -> tuple[ssl.SSLContext, str]:
    """The TLS context of connections to the target, and the host name to verify."""
    context = ssl.create_default_context()
    if spec.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context, spec.endpoint.host
