"""`rtcli loadtest`: replay many users, and account for every delivery."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

import typer

from rtcli.cli import options, signals
from rtcli.cli.commands.scenario import load_or_fail
from rtcli.client.credentials import read_secret
from rtcli.client.endpoint import Endpoint, parse_endpoint
from rtcli.client.secret_files import check_token, development_secret
from rtcli.errors import CliError, Exit
from rtcli.load.core.context import Credentials
from rtcli.load.reporters import hlog
from rtcli.load.reporters import text as text_report
from rtcli.load.reporters.ci import announce
from rtcli.load.reporters.outputs import write_outputs
from rtcli.load.results.compare import Tolerance, against_baseline
from rtcli.load.results.model import RunResult
from rtcli.load.results.saved import read_result
from rtcli.load.results.summary import to_document
from rtcli.load.run.capacity import describe, find_obstacles, read_limits
from rtcli.load.run.coordinator import Runner, RunState, View
from rtcli.load.run.estimate import estimate
from rtcli.load.run.own_server import own_server
from rtcli.load.run.progress import Lines, Screen, Silent
from rtcli.load.run.result import make_result
from rtcli.load.run.target import check_allowed, make_spec, probe
from rtcli.load.run.worker_pool import WorkerFailedError
from rtcli.load.scenario.model import Scenario
from rtcli.terminal.console import Style, console

app = options.new_app()
_MAX_WORKERS = 57
_LOGGED = ("fanout_latency", "fanout_service", "fanout_complete", "send_ack", "schedule_lag", "recovery_time")


@dataclass(frozen=True, slots=True)
class _Plan:
    """What was asked for on the command line."""

    scenario: Scenario
    endpoint: Endpoint | None  # None: a server of our own
    credentials: Credentials
    workers: int
    allowed: tuple[str, ...]
    insecure: bool
    out: Path | None
    baseline: RunResult | None
    progress: bool
    json: bool


@app.command(
    epilog=options.examples(
        "rtcli loadtest smoke --serve",
        "rtcli loadtest fanout --url http://127.0.0.1:8000 --out results",
        "rtcli loadtest chat.yaml --serve --set roles.reader.users=50",
    )
)
def loadtest(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A bundled scenario, or a file.")],
    *,
    url: Annotated[
        str | None, typer.Option("--url", "-u", metavar="URL", help="The deployment to test.")
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Test a fresh server of our own.")] = False,
    token_file: options.TokenFile = None,
    secret_file: Annotated[
        Path | None,
        typer.Option("--secret-file", metavar="FILE", help="Sign a token for each user with this secret."),
    ] = None,
    users_file: Annotated[
        Path | None, typer.Option("--users-file", metavar="FILE", help="A token on each line, for the users.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the scenario.")
    ] = None,
    threshold: Annotated[
        list[str] | None, typer.Option("--threshold", metavar="EXPR", help="Add a threshold.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Draw everything from N.")] = None,
    workers: Annotated[
        str, typer.Option("--workers", metavar="N|auto", help="Processes that generate the load.")
    ] = "1",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write the results there.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline", metavar="DIR", help="Fail (97) when this run is worse than those results."
        ),
    ] = None,
    allow_remote: Annotated[
        list[str] | None,
        typer.Option("--allow-remote", metavar="HOST", help="Load this host, which is not this machine."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the run needs and whether it can work, and end.")
    ] = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="Show nothing meanwhile.")] = False,
    insecure: options.Insecure = False,
    json: options.Json = False,
    verbose: options.Verbose = 0,  # noqa: ARG001 - set on the console
    quiet: options.Quiet = False,  # noqa: ARG001 - set on the console
) -> int:
    """Replay a scenario of many users against a deployment, and account for every delivery.

    Ends with 0 when all is well, 98 when a message was lost, repeated or misplaced, 99 when a threshold
    failed, 96 when the load generator itself was too slow to tell.
    """
    overrides = [*(set_ or ()), *([] if seed is None else [f"seed={seed}"])]
    loaded = load_or_fail(scenario, overrides=overrides, thresholds=threshold)
    address = url or loaded.target.url
    endpoint = None if dry_run and address is None else _endpoint(address, serve=serve)
    _check_machine(loaded, endpoint, workers=_workers(workers), dry_run=dry_run)
    if dry_run:
        return Exit.OK
    plan = _Plan(
        scenario=loaded,
        endpoint=endpoint,
        credentials=_credentials(endpoint, token_file, secret_file, users_file),
        workers=_workers(workers),
        allowed=tuple(allow_remote or ()),
        insecure=insecure,
        out=out,
        baseline=None if baseline is None else _baseline(baseline, loaded),
        progress=not no_progress,
        json=json,
    )
    return signals.run(_main(plan))


def _check_machine(scenario: Scenario, endpoint: Endpoint | None, *, workers: int, dry_run: bool) -> None:
    """Refuse, before anything starts, what this machine cannot do. Raises CliError (2)."""
    need = estimate(scenario, workers=workers)
    if dry_run:
        console.write_lines(describe(need, workers=workers))
    loopback = endpoint is None or endpoint.is_loopback
    obstacles = find_obstacles(need, read_limits(), loopback=loopback, workers=workers)
    for obstacle in obstacles[1:]:
        console.warning(obstacle)
    if obstacles:
        raise CliError(obstacles[0], hint="rtcli loadtest SCENARIO --dry-run shows what a run needs")


def _baseline(path: Path, scenario: Scenario) -> RunResult:
    """An older result of the same scenario. Raises CliError (2) before anything is run."""
    found = read_result(path)
    if found.digest != scenario.digest:
        raise CliError(
            f"{path} is of another scenario ({found.scenario}, digest {found.digest[:12]})",
            hint="a baseline is a run of the same scenario with the same --set; thresholds may differ",
        )
    return found


def _endpoint(url: str | None, *, serve: bool) -> Endpoint | None:
    if serve:
        return None
    if url is None:
        raise CliError("nothing to test", hint="give --url URL, or --serve for a fresh server of our own")
    return parse_endpoint(url)


def _workers(text: str) -> int:
    if text == "auto":
        return max(1, min(len(os.sched_getaffinity(0)), _MAX_WORKERS))
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_WORKERS:
        raise CliError(f"--workers {text}: a number from 1 to {_MAX_WORKERS}, or auto", hint="see --help")
    return int(text)


def _credentials(
    endpoint: Endpoint | None, token_file: str | None, secret_file: Path | None, users_file: Path | None
) -> Credentials:
    """One token for all, one each, or a secret to sign one each; on this machine the development key."""
    if endpoint is None:
        return Credentials()  # the server comes with its secret
    if secret_file is not None:
        return Credentials(secret=read_secret(secret_file, warn=console.warning))
    if users_file is not None:
        return Credentials(tokens=_read_tokens(users_file))
    token = console.env.get("RTCLI_TOKEN", "").strip()
    if token_file is not None:
        return Credentials(tokens=_read_tokens(Path(token_file)))
    if token:
        return Credentials(tokens=(check_token(token, "RTCLI_TOKEN"),))
    secret = development_secret(console.env, create=False) if endpoint.is_loopback else None
    return Credentials(secret=secret)


def _read_tokens(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or "cannot be read").lower() if isinstance(error, OSError) else "not text"
        raise CliError(f"{path}: {why}", hint="it must hold a token on each line") from None
    tokens = tuple(check_token(line, str(path)) for line in lines if line.strip())
    if not tokens:
        raise CliError(f"{path}: there is no token in it", hint="make one: rtcli token create --sub you")
    return tokens


async def _main(plan: _Plan) -> int:
    if plan.out is not None:
        _make_directory(plan.out)
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
            state = await _run(Runner(spec, view))
    result = make_result(state)
    if plan.baseline is not None:
        result = against_baseline(result, plan.baseline, Tolerance())
    _report(plan, result, hlog.intervals(state.store, _LOGGED))
    announce(result, console.env, console.info)
    return result.exit_code


@contextlib.asynccontextmanager
async def _target(plan: _Plan) -> AsyncIterator[tuple[Endpoint, Credentials]]:
    if plan.endpoint is not None:
        yield plan.endpoint, plan.credentials
        return
    async with own_server(console.env, plan.scenario.target.serve) as server:
        yield parse_endpoint(server.url), Credentials(secret=server.secret)


async def _run(runner: Runner) -> RunState:
    """Run; the first Ctrl-C ends the run in order, and what it found so far is reported."""
    running = asyncio.ensure_future(runner.run())
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        console.info("ending the run; once more ends it at once")
        runner.stop()
        return await running
    except WorkerFailedError as error:
        raise CliError(str(error), hint="please report it, with -v", exit_code=Exit.BUG) from None


@contextlib.contextmanager
def _view(plan: _Plan) -> Iterator[View]:
    if not plan.progress or plan.json:
        yield Silent()
    elif console.stderr_is_tty and not console.is_dumb:
        with Screen() as screen:
            yield screen
    else:
        yield Lines(console.info)


def _make_directory(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise CliError(f"{out}: {why}", hint="--out names a directory, which is made") from None


def _report(plan: _Plan, result: RunResult, samples: list[hlog.Interval]) -> None:
    if plan.out is not None:
        written = write_outputs(result, plan.out, samples)
        console.info(f"results: {', '.join(map(str, written))}")
    if plan.json:
        console.write_json({"type": "summary", **to_document(result)})
    else:
        console.write_text(
            text_report.render(result, lambda text, style: console.style(text, cast("Style", style)))
        )
