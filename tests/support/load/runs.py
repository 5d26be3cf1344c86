"""Run a scenario in a test, as the command does."""

from __future__ import annotations

import asyncio
import socket
import time
from functools import partial
from textwrap import dedent

from rtcli.client.endpoint import parse_endpoint
from rtcli.load.core.context import Credentials, WorkerSpec
from rtcli.load.results.model import RunResult
from rtcli.load.run.coordinator import Coordinator, ProgressView, RunState
from rtcli.load.run.progress import SilentProgress
from rtcli.load.run.result import make_result
from rtcli.load.run.target import make_spec
from rtcli.load.scenario.loader import parse_scenario
from rtcli.load.scenario.model import Scenario

SECRET = "s" * 40


def scenario(text: str) -> Scenario:
    """A scenario from its text."""
    return parse_scenario(dedent(text), "test.yaml")


def new_state(text: str) -> RunState:
    """The state of a run that begins now, and of which nothing is known yet."""
    endpoint = parse_endpoint("http://127.0.0.1:1")
    spec = WorkerSpec(scenario(text), endpoint, "127.0.0.1", socket.AF_INET, Credentials(), 1, time.time())
    state = Coordinator(spec, SilentProgress()).state
    state.base = time.monotonic_ns() // 1000
    return state


async def run(
    text: str,
    url: str,
    *,
    workers: int = 1,
    stop_after: float | None = None,
    secret: str = SECRET,
    view: ProgressView | None = None,
) -> RunResult:
    """Run a scenario against a server. `view` sees the run as it goes on."""
    spec = await make_spec(
        scenario(text),
        parse_endpoint(url),
        Credentials(secret=secret),
        workers=workers,
        unix_start=time.time(),
    )
    coordinator = Coordinator(spec, view or SilentProgress())
    if stop_after is not None:
        asyncio.get_running_loop().call_later(stop_after, partial(coordinator.stop, interrupted_by="SIGINT"))
    return make_result(await coordinator.run())
