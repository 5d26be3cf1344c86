"""The messages between the coordinator of a run and its workers.

1. The coordinator sends `Configure`; the worker answers `Ready`.
2. It sends `Start`. The worker sends a `Tick` each second, `AtBarrier` and `Signalled` as its users get
   there, `PhasesEnded`, and `Settled` when everything has arrived. The coordinator may send `OpenLatch` and
   `Stop` meanwhile.
3. When all have settled, it sends `FinishAudit` to each, with what the others have sent; the worker answers
   `Audited`.
4. `Close` ends the worker. `Failed` may come at any time: the worker settles then, if it still can.

They travel as MessagePack: ledgers and accounts, the large ones, are written and read two to seven times as
fast as with pickle.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from rtcli.load.accounts.attendance import WorkerAttendance
from rtcli.load.accounts.doubts import Doubt
from rtcli.load.accounts.sends import WorkerSends
from rtcli.load.audit.evidence import WorkerAccount
from rtcli.load.audit.ledger_exchange import Ledger
from rtcli.load.core.context import WorkerSpec
from rtcli.load.core.failures import OwnFailure
from rtcli.load.core.latches import AtBarrier, Signalled
from rtcli.load.metrics.store import Snapshot
from rtcli.load.run.health.processor_time import TakenTime


class _Message(msgspec.Struct, frozen=True, tag=True):
    """One message; its class is its tag."""


# -- from the coordinator ----------------------------------------------------------------------------------


class Configure(_Message, frozen=True):
    """Prepare for a run.

    The spec is pickled: a scenario is a graph of steps, templates and distributions that carry no tags, and
    both ends of the socket are processes of this program, one started by the other.
    """

    pickled: bytes

    @classmethod
    def of(cls, spec: WorkerSpec) -> Configure:
        """The message for a spec."""
        return cls(pickle.dumps(spec, protocol=pickle.HIGHEST_PROTOCOL))

    def spec(self) -> WorkerSpec:
        """The spec."""
        spec: WorkerSpec = pickle.loads(self.pickled)  # noqa: S301 - of our own process
        return spec


class Start(_Message, frozen=True):
    """Start the run at this time (µs of the monotonic clock)."""

    base: int


class Stop(_Message, frozen=True):
    """End the phases now, and settle."""


class OpenLatch(_Message, frozen=True):
    """Open a latch."""

    latch: str


class FinishAudit(_Message, frozen=True):
    """Judge what was received by what the other workers have sent. `missing`: workers without a ledger."""

    ledgers: list[Ledger]
    missing: list[int] = []


class Close(_Message, frozen=True):
    """Close all connections and end."""


ToWorker: TypeAlias = Configure | Start | Stop | OpenLatch | FinishAudit | Close


# -- from a worker -----------------------------------------------------------------------------------------


class Ready(_Message, frozen=True):
    """The worker waits for `Start`."""


class Tick(_Message, frozen=True):
    """What a worker has measured since its last tick, about a second ago."""

    samples: Snapshot
    users: int
    connections: int
    cpu: float  # share of one core
    rss: int  # bytes
    stalls: tuple[tuple[float, float], ...]  # from and to, in seconds since the start of the run
    taken: TakenTime  # processor time that the worker's machine and group did not get
    log: tuple[tuple[float, str, str], ...]  # lines: second of the run, user, text
    violations: Mapping[str, int]  # by kind, those that are known by now
    absent: int = 0  # users who are absent without leave now
    accepted: Mapping[str, Mapping[str, int]] = {}  # messages since the start, by role and phase
    unsent: int = 0


class PhasesEnded(_Message, frozen=True):
    """The phases are over, or were cut short, after so many seconds of run."""

    at: float


class Settled(_Message, frozen=True):
    """Everything has arrived, or the wait for it is over: what the worker has sent."""

    ledger: Ledger
    problems: dict[str, int]  # what went wrong with users, and how often
    sends: WorkerSends


class Audited(_Message, frozen=True):
    """The account of what the worker's users received, of whether they were there, and of what is open."""

    account: WorkerAccount
    attendance: WorkerAttendance
    doubts: list[Doubt] = []


class Failed(_Message, frozen=True):
    """The worker had a failure of its own, and ends its part of the run. It settles, if it still can."""

    failure: OwnFailure


FromWorker: TypeAlias = Ready | Tick | PhasesEnded | AtBarrier | Signalled | Settled | Audited | Failed
