"""What `rtcli loadtest` does: run a scenario against a server, show progress, write and show the results."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rtcli.client.endpoint import Endpoint, parse_endpoint
from rtcli.errors import CliError, Exit
from rtcli.load.core.context import Credentials
from rtcli.load.reporters import hlog
from rtcli.load.reporters import text as text_report
from rtcli.load.reporters.github import announce
from rtcli.load.reporters.output_directory import locked_directory
from rtcli.load.reporters.outputs import OUTPUTS, write_outputs
from rtcli.load.results.compare import Tolerance, against_baseline
from rtcli.load.results.model import RunResult
from rtcli.load.results.summary import to_document
from rtcli.load.run.coordinator import Coordinator, ProgressView, RunState
from rtcli.load.run.own_server import own_server
from rtcli.load.run.progress import LogView, ProgressLines, ProgressScreen, SilentProgress
from rtcli.load.run.result import make_result
from rtcli.load.run.target import check_allowed, make_spec
from rtcli.load.run.worker_pool import WorkerFailedError
from rtcli.load.scenario.model import Scenario
from rtcli.load.users.flow.probe import probe
from rtcli.terminal.console import StdoutClosedError, Style, console

_LOGGED = ("fanout_latency", "fanout_service", "fanout_complete", "send_ack", "schedule_lag", "recovery_time")


@dataclass(frozen=True, slots=True)
class LoadtestPlan:
    """The options of one load test, read and checked."""

    scenario: Scenario
    endpoint: Endpoint | None  # None: a server of our own
    credentials: Credentials
    workers: int
    allowed: tuple[str, ...]
    insecure: bool
    out: Path | None
    baseline: RunResult | None
    tolerance: Tolerance
    progress: bool
    json: bool


async def run_loadtest(plan: LoadtestPlan) -> int:
    """Run the test, show and write its results; returns the exit code. Raises CliError."""
    with _output_directory(plan):
        async with _target(plan) as (endpoint, credentials):
            check_allowed(endpoint, plan.allowed)
            spec = await make_spec(
                plan.scenario,
                endpoint,
                credentials,
                workers=plan.workers,
                unix_start=time.time(),
                insecure=plan.insecure,
            )
            await probe(spec)
            with _view(plan) as view:
                state = await _run(Coordinator(spec, view))
            # The server of our own is still there: what goes wrong while it ends takes no result away.
            result = make_result(state)
            if plan.baseline is not None:
                result = against_baseline(result, plan.baseline, plan.tolerance)
            _report(plan, result, hlog.intervals(state.store, _LOGGED))
    return result.exit_code


def _output_directory(plan: LoadtestPlan) -> contextlib.AbstractContextManager[None]:
    if plan.out is None:
        return contextlib.nullcontext()
    return locked_directory(plan.out, OUTPUTS, warn=console.warning)


@contextlib.asynccontextmanager
async def _target(plan: LoadtestPlan) -> AsyncIterator[tuple[Endpoint, Credentials]]:
    if plan.endpoint is not None:
        yield plan.endpoint, plan.credentials
        return
    async with own_server(console.env, plan.scenario.target.serve) as server:
        yield parse_endpoint(server.url), Credentials(secret=server.secret)


async def _run(coordinator: Coordinator) -> RunState:
    """Run; the first signal ends the run in order, and what it found so far is reported."""
    running = asyncio.ensure_future(coordinator.run())
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError as cancelled:
        console.info("ending the run; once more ends it at once")
        coordinator.stop(interrupted_by=str(cancelled) or "SIGINT")
        try:
            return await running
        except WorkerFailedError as error:
            if error.is_bug:
                raise _not_started(error) from None
            raise cancelled from None  # the signal went to the workers, too, before they were ready
    except WorkerFailedError as error:
        raise _not_started(error) from None


def _not_started(error: WorkerFailedError) -> CliError:
    if error.is_bug:
        return CliError(str(error), hint="please report it, with -v", exit_code=Exit.BUG)
    return CliError(
        str(error), hint="who ended it? the system, when memory is short", exit_code=Exit.INCONCLUSIVE
    )


@contextlib.contextmanager
def _view(plan: LoadtestPlan) -> Iterator[ProgressView]:
    if console.verbose:
        lines = ProgressLines(console.info) if plan.progress and not plan.json else SilentProgress()
        yield LogView(lines, console.debug)
    elif not plan.progress or plan.json:
        yield SilentProgress()
    elif console.stderr_is_tty and not console.is_dumb:
        with ProgressScreen() as screen:
            yield screen
    else:
        yield ProgressLines(console.info)


def _report(plan: LoadtestPlan, result: RunResult, samples: Iterable[hlog.Interval]) -> None:
    """Show the verdict, then write the files. Failing to changes neither verdict nor exit code."""
    try:
        _show(plan, result)
    except StdoutClosedError:
        console.warning("stdout: the verdict is not shown, since nobody reads it")
    except CliError as error:
        console.warning(error.message)
    if plan.out is not None:
        written = write_outputs(result, plan.out, samples, warn=console.warning)
        if written:
            console.info(f"results: {', '.join(map(str, written))}")
    announce(result, console.env, console.info)


def _show(plan: LoadtestPlan, result: RunResult) -> None:
    if plan.json:
        console.write_json({"type": "summary", **to_document(result)})
    else:
        console.write_text(
            text_report.render(
                result, lambda text, style: console.style(text, cast("Style", style)), console.columns
            )
        )
