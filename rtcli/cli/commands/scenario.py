"""`rtcli scenario`: list, show and validate scenarios, and print the schema that editors complete them by."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from rtcli.cli import options
from rtcli.errors import CliError, Exit
from rtcli.load.run.estimate import describe_estimate, estimate
from rtcli.load.scenario.grammar.document import json_schema
from rtcli.load.scenario.loader import ScenarioError, bundled_names, hides_bundled, load_scenario, read_source
from rtcli.load.scenario.model import Scenario
from rtcli.terminal.console import console
from rtcli.terminal.escaping import escape

app = options.new_app()

Name = Annotated[str, typer.Argument(metavar="SCENARIO", help="A bundled name, or a file.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a value, like roles.reader.users=50."),
]


def load_or_fail(
    name: str, *, overrides: list[str] | None = None, thresholds: list[str] | None = None
) -> Scenario:
    """Load a scenario. Raises CliError (2) after reporting every mistake in it."""
    if hides_bundled(name):
        console.warning(f"{name} is a file here: it is taken, and not the bundled scenario of this name")
    try:
        return load_scenario(name, overrides=overrides or (), thresholds=thresholds or ())
    except ScenarioError as errors:
        raise as_cli_error(errors) from None


def as_cli_error(errors: ScenarioError) -> CliError:
    """The error for a scenario with mistakes. If there are several, each is first reported on a line."""
    lines = errors.lines()
    hint = "rtcli scenario list names the bundled ones; docs/scenarios.md describes the language"
    if len(lines) == 1:
        return CliError(lines[0], hint=hint, exit_code=Exit.USAGE)
    if console.json:
        return CliError("; ".join(lines), hint=hint, exit_code=Exit.USAGE)
    for line in lines:
        console.info(escape(line))
    return CliError(f"{errors.name} has {len(lines)} mistakes", hint=hint, exit_code=Exit.USAGE)


@app.command("list", epilog=options.examples("rtcli scenario list"))
def list_scenarios(as_json: options.Json = False) -> int:
    """List the bundled scenarios and the question that each answers."""
    names = bundled_names()
    for name in names:
        scenario = load_scenario(name)
        if as_json:
            console.write_json(_record("scenario", scenario))
        else:
            console.write_line(f"{name:<17}{scenario.description}")
    return Exit.OK


@app.command(epilog=options.examples("rtcli scenario show smoke > mine.yaml"))
def show(name: Name) -> int:
    """Print a scenario as it is written."""
    try:
        text, _base = read_source(name)
    except ScenarioError as errors:
        raise as_cli_error(errors) from None
    console.write_text(text if text.endswith("\n") else text + "\n")
    return Exit.OK


@app.command(
    epilog=options.examples("rtcli scenario validate mine.yaml", "rtcli scenario validate smoke --set seed=3")
)
def validate(name: Name, set_: Set = None, as_json: options.Json = False) -> int:
    """Check a scenario, report every mistake at once, and estimate what a run of it needs."""
    scenario = load_or_fail(name, overrides=set_)
    if as_json:
        console.write_json(_record("valid", scenario))
        return Exit.OK
    console.write_lines([f"{name} is a valid scenario", "", *describe_estimate(estimate(scenario))])
    return Exit.OK


@app.command(epilog=options.examples("rtcli scenario schema > rtcli-scenario.schema.json"))
def schema() -> int:
    """Print the JSON Schema of scenario files."""
    console.write_line(json.dumps(json_schema(), indent=2))
    return Exit.OK


def _record(kind: str, scenario: Scenario) -> dict[str, object]:
    need = estimate(scenario)
    return {
        "type": kind,
        "name": scenario.name,
        "description": scenario.description,
        "digest": scenario.digest,
        "duration_s": scenario.duration,
        "users": {name: round(count) for name, count in need.roles.items()},
        "connections": need.connections,
        "messages": round(need.sent),
        "deliveries": round(need.delivered),
        "memory_bytes": need.memory,
        "descriptors": need.descriptors,
    }
