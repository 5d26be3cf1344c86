"""Run a scenario in a test, as the command does."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
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
from tests.support.load.workers import background

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
    stop_when: Callable[[RunState], bool] | None = None,
    secret: str = SECRET,
    view: ProgressView | None = None,
) -> RunResult:
    """Run a scenario against a server. `view` sees the run as it goes on.

    It is interrupted as soon as `stop_when` is true of its state.
    """
    spec = await make_spec(
        scenario(text),
        parse_endpoint(url),
        Credentials(secret=secret),
        workers=workers,
        unix_start=time.time(),
    )
    coordinator = Coordinator(spec, view or SilentProgress())
    if stop_when is None:
        return make_result(await coordinator.run())
    async with background(_interrupt(coordinator, stop_when)):
        return make_result(await coordinator.run())


async def _interrupt(coordinator: Coordinator, when: Callable[[RunState], bool]) -> None:
    while not when(coordinator.state):  # noqa: ASYNC110 - the coordinator has no event for it
        await asyncio.sleep(0.05)
    coordinator.stop(interrupted_by="SIGINT")
