"""The files that `--out` writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from rtcli.load.reporters import hlog, junit, prometheus
from rtcli.load.reporters.html import page as html
from rtcli.load.reporters.output_directory import OutputError, write_whole
from rtcli.load.results import summary
from rtcli.load.results.model import RunResult


def evidence_lines(result: RunResult) -> bytes:
    """The violations with their evidence, one JSON object a line."""
    violations = result.audit.violations if result.audit is not None else ()
    records = [{"type": "violation", **msgspec.to_builtins(violation)} for violation in violations]
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


OUTPUTS: Mapping[str, Callable[[RunResult, Iterable[hlog.Interval]], bytes]] = {
    "summary.json": lambda result, _: summary.encode(result),
    "evidence.ndjson": lambda result, _: evidence_lines(result),
    "junit.xml": lambda result, _: junit.render(result).encode(),
    "report.html": lambda result, _: html.render(result).encode(),
    "metrics.prom": lambda result, _: prometheus.render(result).encode(),
    "samples.hlog": lambda result, samples: hlog.render(result.started, samples).encode(),
}
"""The files, and what they hold; the most important first, if space is short."""


def write_outputs(
    result: RunResult,
    directory: Path,
    samples: Iterable[hlog.Interval] = (),
    *,
    warn: Callable[[str], None],
) -> list[Path]:
    """Write the summary, the reports and the evidence, each file whole or not at all.

    Returns the paths of those that were written; `warn` is told of the others.
    """
    written = []
    for name, render in OUTPUTS.items():
        try:
            write_whole(directory / name, render(result, samples))
        except OutputError as error:
            warn(f"not written: {error}")
        else:
            written.append(directory / name)
    return written
