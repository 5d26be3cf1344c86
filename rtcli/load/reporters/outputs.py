"""The files that `--out` writes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from rtcli.errors import CliError
from rtcli.load.reporters import hlog, junit, prometheus
from rtcli.load.reporters.html import page as html
from rtcli.load.results import summary
from rtcli.load.results.model import RunResult


def evidence_lines(result: RunResult) -> bytes:
    """The violations with their evidence, one JSON object a line."""
    violations = result.audit.violations if result.audit is not None else ()
    records = [{"type": "violation", **msgspec.to_builtins(violation)} for violation in violations]
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def write_outputs(result: RunResult, directory: Path, samples: Iterable[hlog.Interval] = ()) -> list[Path]:
    """Write the summary, the reports and the evidence; return their paths. Raises CliError (2)."""
    contents = {
        "summary.json": summary.encode(result),
        "junit.xml": junit.render(result).encode(),
        "report.html": html.render(result).encode(),
        "metrics.prom": prometheus.render(result).encode(),
        "samples.hlog": hlog.render(result.started, samples).encode(),
        "evidence.ndjson": evidence_lines(result),
    }
    written = []
    for name, content in contents.items():
        path = directory / name
        try:
            path.write_bytes(content)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise CliError(f"{path}: {why}", hint="is there space, and may you write there?") from None
        written.append(path)
    return written
