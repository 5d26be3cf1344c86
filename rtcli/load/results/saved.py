"""Reads results that runs have left behind."""

from __future__ import annotations

from pathlib import Path

from rtcli.errors import CliError, Exit
from rtcli.load.results.model import RunResult
from rtcli.load.results.summary import SummaryError, decode

_MAX_BYTES = 256 * 1_048_576


def read_result(path: Path) -> RunResult:
    """The result in a directory made by `--out`, or in a `summary.json`. Raises CliError (2)."""
    file = path / "summary.json" if path.is_dir() else path
    hint = "name a directory that `rtcli loadtest --out` made, or the summary.json in it"
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise CliError(f"{file}: {why}", hint=hint, exit_code=Exit.USAGE) from None
    except ValueError as error:  # a NUL in the name
        raise CliError(f"{file}: {error}", hint=hint, exit_code=Exit.USAGE) from None
    if len(content) > _MAX_BYTES:
        raise CliError(f"{file}: larger than 256 MiB", hint=hint, exit_code=Exit.USAGE)
    try:
        return decode(content)
    except SummaryError as error:
        raise CliError(f"{file}: {error}", hint=hint, exit_code=Exit.USAGE) from None
