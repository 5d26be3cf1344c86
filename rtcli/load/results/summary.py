"""`summary.json`: the result of a run as a document with a published schema, and back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from rtcli._version import __version__
from rtcli.errors import CliError, Exit
from rtcli.load.results.accounts import UsersAccount
from rtcli.load.results.model import RunResult

FORMAT = "rtcli.summary/v2"
OLDER = ("rtcli.summary/v1",)
"""Formats that can still be read: the first had no accounts of users and sends."""

_TOTALS = {
    "planned": "users who should have taken part",
    "present": "users who took part until the end of their part",
    "interrupted": "users who were lost without leave and came back",
}
_MAX_BYTES = 256 * 1_048_576


class SummaryError(ValueError):
    """The document is not a summary, or of an unknown version."""


def to_document(result: RunResult) -> dict[str, Any]:
    """The document of a result, as numbers, strings, lists and dictionaries."""
    content: dict[str, Any] = msgspec.to_builtins(result, str_keys=True)
    started = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(result.started))
    if result.accounts is not None:
        content["accounts"]["users"] |= _totals(result.accounts.users)
    head = {
        "format": FORMAT,
        "version": __version__,
        "verdict": result.verdict.value,
        "exit_code": int(result.exit_code),
        "reasons": list(result.reasons),
        "started_at": f"{started}.{int(result.started % 1 * 1000):03d}Z",
    }
    return {**head, **content}


def _totals(users: UsersAccount) -> dict[str, int]:
    """Sums over the roles, for scripts; they are not read back."""
    return {name: getattr(users, name) for name in _TOTALS}


def encode(result: RunResult) -> bytes:
    """The document as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(to_document(result)), indent=2) + b"\n"


def decode(content: bytes) -> RunResult:
    """Read the document back from JSON. Raises SummaryError."""
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise SummaryError(f"not JSON: {error}") from None
    if not isinstance(document, Mapping) or document.get("format") not in {FORMAT, *OLDER}:
        raise SummaryError(f"not a summary of a load test ({FORMAT})")
    try:
        return msgspec.convert(document, RunResult)
    except msgspec.ValidationError as error:
        raise SummaryError(str(error)) from None


def read_result(path: Path) -> RunResult:
    """Read the result in a directory made by `--out`, or in a `summary.json`. Raises CliError (2)."""
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


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the document."""
    (result,), components = msgspec.json.schema_components([RunResult], ref_template="#/$defs/{name}")
    body = components.pop(str(result["$ref"]).rpartition("/")[2])
    users = components["UsersAccount"]
    for name, text in _TOTALS.items():
        users["properties"][name] = {"type": "integer", "description": text}
    users["required"] = [*users.get("required", ()), *_TOTALS]
    head = {
        "format": {"const": FORMAT},
        "version": {"type": "string"},
        "exit_code": {"type": "integer"},
        "started_at": {"type": "string", "format": "date-time"},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **body,
        "title": "rtcli load test summary",
        "properties": {**head, **body["properties"]},
        "required": [*head, *body["required"]],
        "$defs": components,
    }
