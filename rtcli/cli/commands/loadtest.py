"""`rtcli loadtest`: replay many users, and account for every user, message and delivery."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rtcli.apps.loadtest import LoadtestPlan, run_loadtest
from rtcli.cli import options, signals
from rtcli.cli.bundles import takes_bundles
from rtcli.cli.commands.scenario import load_or_fail
from rtcli.cli.tolerance import RECORD_ANEW, ToleranceOptions
from rtcli.client.credentials import read_secret
from rtcli.client.endpoint import Endpoint, parse_endpoint
from rtcli.client.secret_files import check_token, development_secret
from rtcli.errors import CliError, Exit
from rtcli.load.core.context import Credentials
from rtcli.load.results.compare import incompleteness
from rtcli.load.results.model import RunResult
from rtcli.load.results.summary import read_result
from rtcli.load.run.capacity import find_obstacles, read_machine_limits
from rtcli.load.run.estimate import describe_estimate, estimate
from rtcli.load.scenario.model import Scenario
from rtcli.terminal.console import console

app = options.new_app()
_MAX_WORKERS = 57


@dataclass(frozen=True)
class TargetOptions:
    """The deployment to test, and the tokens of the users."""

    url: Annotated[str | None, typer.Option("--url", "-u", metavar="URL", help="The deployment to test.")] = (
        None
    )
    serve: Annotated[bool, typer.Option("--serve", help="Test a fresh server of our own.")] = False
    token_file: options.TokenFile = None
    secret_file: Annotated[
        Path | None,
        typer.Option("--secret-file", metavar="FILE", help="Sign a token for each user with this secret."),
    ] = None
    users_file: Annotated[
        Path | None, typer.Option("--users-file", metavar="FILE", help="A token on each line, for the users.")
    ] = None

    def endpoint(self, url: str | None) -> Endpoint | None:
        """The server at `url`; None with --serve. Raises CliError (2)."""
        if self.serve and self.url is not None:
            raise CliError(
                "--serve and --url exclude each other",
                hint="--url URL tests that deployment, --serve a fresh server of our own",
            )
        if self.serve:
            return None
        if url is None:
            raise CliError("nothing to test", hint="give --url URL, or --serve for a fresh server of our own")
        return parse_endpoint(url)

    def credentials(self, endpoint: Endpoint | None) -> Credentials:
        """One token for all, one each, or a secret to sign one each; on this machine the development key."""
        if endpoint is None:
            return Credentials()  # the server comes with its secret
        if self.secret_file is not None:
            return Credentials(secret=read_secret(self.secret_file, warn=console.warning))
        if self.users_file is not None:
            return Credentials(tokens=_read_tokens(self.users_file))
        token = console.env.get("RTCLI_TOKEN", "").strip()
        if self.token_file is not None:
            return Credentials(tokens=_read_tokens(Path(self.token_file)))
        if token:
            return Credentials(tokens=(check_token(token, "RTCLI_TOKEN"),))
        secret = development_secret(console.env, create=False) if endpoint.is_loopback else None
        return Credentials(secret=secret)


@dataclass(frozen=True)
class ScenarioOptions:
    """What is changed in the scenario."""

    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the scenario.")
    ] = None
    threshold: Annotated[
        list[str] | None, typer.Option("--threshold", metavar="EXPR", help="Add a threshold.")
    ] = None
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Draw everything from N.")] = None

    def load(self, name: str) -> Scenario:
        """The scenario with its changes. Raises CliError (2)."""
        overrides = [*(self.set_ or ()), *([] if self.seed is None else [f"seed={self.seed}"])]
        return load_or_fail(name, overrides=overrides, thresholds=self.threshold)


@dataclass(frozen=True)
class RunOptions:
    """How to run, and what to do with the results."""

    workers: Annotated[
        str, typer.Option("--workers", metavar="N|auto", help="Processes that generate the load.")
    ] = "1"
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write the results there.")
    ] = None
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline", metavar="DIR", help="Fail (97) when this run is worse than those results."
        ),
    ] = None
    allow_remote: Annotated[
        list[str] | None,
        typer.Option("--allow-remote", metavar="HOST", help="Load this host, which is not this machine."),
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the run needs and whether it can work, and end.")
    ] = False
    no_progress: Annotated[bool, typer.Option("--no-progress", help="Show nothing meanwhile.")] = False


@app.command(
    epilog=options.examples(
        "rtcli loadtest smoke --serve",
        "rtcli loadtest fanout --url http://127.0.0.1:8000 --out results",
        "rtcli loadtest chat.yaml --serve --set roles.reader.users=50",
    )
)
@takes_bundles()
def loadtest(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A bundled scenario, or a file.")],
    *,
    target: TargetOptions,
    changes: ScenarioOptions,
    how: RunOptions,
    tolerance: ToleranceOptions,
    insecure: options.Insecure = False,
    json: options.Json = False,
    verbose: options.Verbose = 0,  # noqa: ARG001 - set on the console
    quiet: options.Quiet = False,  # noqa: ARG001 - set on the console
) -> int:
    """Replay a scenario of many users against a deployment, and account for every user, message and delivery.

    Ends with 0 when all is well; 98 when a user was absent, or a message was not accepted, lost, repeated or
    misplaced; 99 when a threshold failed; 96 when the load generator itself was too slow to tell.
    """
    loaded = changes.load(scenario)
    address = target.url or loaded.target.url
    endpoint = None if how.dry_run and address is None else target.endpoint(address)
    workers = _count_workers(how.workers)
    _check_machine(loaded, endpoint, workers=workers, dry_run=how.dry_run)
    if how.dry_run:
        return Exit.OK
    plan = LoadtestPlan(
        scenario=loaded,
        endpoint=endpoint,
        credentials=target.credentials(endpoint),
        workers=workers,
        allowed=tuple(how.allow_remote or ()),
        insecure=insecure,
        out=how.out,
        baseline=None if how.baseline is None else _read_baseline(how.baseline, loaded),
        tolerance=tolerance.read(),
        progress=not how.no_progress,
        json=json,
    )
    return signals.run(run_loadtest(plan), needs_stdout=False)  # its exit code counts without a reader, too


def _check_machine(scenario: Scenario, endpoint: Endpoint | None, *, workers: int, dry_run: bool) -> None:
    """Refuse, before anything starts, what this machine cannot do. Raises CliError (2)."""
    need = estimate(scenario, workers=workers)
    if dry_run:
        console.write_lines(describe_estimate(need, workers=workers))
    loopback = endpoint is None or endpoint.is_loopback
    obstacles = find_obstacles(need, read_machine_limits(), loopback=loopback, workers=workers)
    for obstacle in obstacles[1:]:
        console.warning(obstacle)
    if obstacles:
        raise CliError(obstacles[0], hint="rtcli loadtest SCENARIO --dry-run shows what a run needs")


def _read_baseline(path: Path, scenario: Scenario) -> RunResult:
    """An older result of the same scenario. Raises CliError (2) before anything is run."""
    found = read_result(path)
    why = incompleteness(found)
    if why:
        raise CliError(f"{path} cannot be a baseline: it {why}", hint=RECORD_ANEW)
    if found.digest != scenario.digest:
        raise CliError(
            f"{path} is of another scenario ({found.scenario}, digest {found.digest[:12]})",
            hint="a baseline is a run of the same scenario with the same --set; thresholds may differ",
        )
    return found


def _count_workers(text: str) -> int:
    if text == "auto":
        return max(1, min(len(os.sched_getaffinity(0)), _MAX_WORKERS))
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_WORKERS:
        raise CliError(f"--workers {text}: a number from 1 to {_MAX_WORKERS}, or auto", hint="see --help")
    return int(text)


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
