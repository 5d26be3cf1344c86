"""A worker's context for tests that run no worker."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from time import monotonic_ns

from rtcli.client.endpoint import parse_endpoint
from rtcli.load.core.context import Credentials, WorkerContext, WorkerSpec
from rtcli.load.core.failures import Failures, OwnFailure
from rtcli.load.core.latches import Latches
from rtcli.load.users.context import UserContext
from tests.support.load.runs import SECRET, scenario

SCENARIO = """
    name: parts
    phases: [{ name: run, for: 1h }]
    roles: { user: { users: 2, flow: [connect, { join: lobby }, hold] } }
"""


def _fail(failure: OwnFailure) -> None:
    raise AssertionError(failure.text)


def worker_spec(text: str) -> WorkerSpec:
    """What the only worker of a run is told."""
    return WorkerSpec(
        scenario=scenario(text),
        endpoint=parse_endpoint("http://127.0.0.1:9"),
        address="127.0.0.1",
        family=socket.AF_INET,
        credentials=Credentials(secret=SECRET),
        run=1,
        unix_start=0.0,
    )


@contextlib.asynccontextmanager
async def user_context(text: str = SCENARIO) -> AsyncIterator[UserContext]:
    """The first user of the first role of a scenario."""
    spec = worker_spec(text)
    worker = WorkerContext(spec, monotonic_ns() // 1000, Latches(lambda _report: None), Failures(_fail))
    try:
        yield UserContext(worker, next(iter(spec.scenario.roles.values())), 0, 0)
    finally:
        worker.timers.stop()
        await worker.http.aclose()
