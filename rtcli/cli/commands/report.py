"""`rtcli report`: show results in another format, compare two runs, print the schema of results."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer

from rtcli.cli import options
from rtcli.cli.bundles import takes_bundles
from rtcli.cli.tolerance import RECORD_ANEW, ToleranceOptions
from rtcli.errors import CliError, Exit
from rtcli.load.metrics.formatting import format_value
from rtcli.load.reporters import github, junit, markdown, prometheus, text
from rtcli.load.reporters.html import page as html
from rtcli.load.results import summary
from rtcli.load.results.compare import (
    Comparison,
    IncomparableError,
    IncompleteError,
    Row,
    Tolerance,
    compare,
)
from rtcli.load.results.model import RunResult, Verdict
from rtcli.load.results.summary import read_result
from rtcli.terminal.console import Style, console

app = options.new_app()


class Form(StrEnum):
    """The format in which a result is shown."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    HTML = "html"
    MARKDOWN = "markdown"
    GITHUB = "github"
    PROMETHEUS = "prometheus"


def _paint(part: str, style: str) -> str:
    return console.style(part, cast("Style", style))


_RENDER: dict[Form, Callable[[RunResult], str]] = {
    Form.TEXT: lambda result: text.render(result, _paint, console.columns),
    Form.JSON: lambda result: summary.encode(result).decode(),
    Form.JUNIT: junit.render,
    Form.HTML: html.render,
    Form.MARKDOWN: markdown.render,
    Form.GITHUB: github.render,
    Form.PROMETHEUS: prometheus.render,
}

Results = Annotated[Path, typer.Argument(metavar="DIR", help="What `rtcli loadtest --out DIR` left behind.")]


@app.command(
    epilog=options.examples("rtcli report show results", "rtcli report show results -o html > report.html")
)
def show(
    results: Results,
    form: Annotated[Form, typer.Option("--output", "-o", help="In which form.")] = Form.TEXT,
) -> int:
    """Show a result again. Ends with the exit code that the run had."""
    result = read_result(results)
    console.write_text(_RENDER[form](result))
    return result.exit_code


@app.command(
    "compare", epilog=options.examples("rtcli report compare results-of-main results --tolerance 20%")
)
@takes_bundles()
def compare_(
    before: Annotated[Path, typer.Argument(metavar="BASELINE", help="The run to compare with.")],
    after: Annotated[Path, typer.Argument(metavar="DIR", help="The run in question.")],
    *,
    tolerance: ToleranceOptions,
    as_json: options.Json = False,
) -> int:
    """Compare two complete runs of one scenario: users, sends and deliveries, then latency.

    Ends with 97 when the second is worse, with 2 when there is no answer, and as the second run did when that
    was interrupted.
    """
    found = compare_or_fail(read_result(before), read_result(after), tolerance.read())
    if as_json:
        for row in found.rows:
            console.write_json(_record(row))
    else:
        console.write_lines(_lines(found))
    return Exit.WORSE if found.worse else Exit.OK


def compare_or_fail(before: RunResult, after: RunResult, tolerance: Tolerance) -> Comparison:
    """Compare two runs. Raises CliError: 2 if they cannot be compared, 130 if the second was stopped."""
    try:
        return compare(before, after, tolerance)
    except IncompleteError as error:
        stopped = error.run is after and after.verdict is Verdict.INTERRUPTED
        raise CliError(
            f"these runs cannot be compared: {error}",
            hint="only complete runs can: run it again" if error.run is after else RECORD_ANEW,
            exit_code=after.exit_code if stopped else Exit.USAGE,
        ) from None
    except IncomparableError as error:
        hint = "compare runs of the same scenario with the same --set; thresholds and description may differ"
        raise CliError(f"these runs cannot be compared: {error}", hint=hint, exit_code=Exit.USAGE) from None


@app.command(epilog=options.examples("rtcli report schema > rtcli-summary.schema.json"))
def schema() -> int:
    """Print the JSON Schema of summary.json."""
    console.write_line(json.dumps(summary.schema(), indent=2))
    return Exit.OK


def _lines(found: Comparison) -> list[str]:
    width = max((len(row.name) for row in found.rows), default=0)
    lines = [f"{'':<{width}}  {'before':>10}  {'after':>10}"]
    for row in found.rows:
        before, after = (_value(row, value) for value in (row.before, row.after))
        word = _paint("worse", "red") if row.worse else _paint("better", "green") if row.better else ""
        lines.append(f"{row.name:<{width}}  {before:>10}  {after:>10}  {word}".rstrip())
    return [*lines, *(f"not the same: {note}" for note in found.notes)]


def _value(row: Row, value: float | None) -> str:
    return "-" if value is None else format_value(value, row.unit)


def _record(row: Row) -> dict[str, object]:
    return {
        "type": "comparison",
        "name": row.name,
        "unit": row.unit.value,
        "before": row.before,
        "after": row.after,
        "worse": row.worse,
        "better": row.better,
    }
