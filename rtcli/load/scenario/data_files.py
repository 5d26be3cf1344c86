"""Reads the files that feed a scenario with data: CSV with a header, or a JSON list."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import msgspec

MAX_BYTES = 64 * 1_048_576


class DataFileError(ValueError):
    """The file cannot be used; the text says why."""


def _read_text(path: Path) -> str:
    try:
        if path.is_dir():
            raise DataFileError(f"{path} is a directory")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataFileError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise DataFileError(f"{path} is larger than 64 MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataFileError(f"{path}, line {line}: not UTF-8") from None


def read_csv(path: Path) -> tuple[dict[str, str], ...]:
    """The rows of a CSV file (RFC 4180) by the names in its first line. Raises `DataFileError`."""
    reader = csv.DictReader(io.StringIO(_read_text(path), newline=""), strict=True)
    try:
        names = reader.fieldnames or []
        if len(set(names)) < len(names) or not all(names):
            raise DataFileError(f"{path}, line 1: column names must differ and not be empty")
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise DataFileError(f"{path}, line {reader.line_num}: expected {len(names)} columns")
            rows.append(dict(row))
    except csv.Error as error:
        raise DataFileError(f"{path}, line {reader.line_num}: {error}") from None
    if not rows:
        raise DataFileError(f"{path} has no rows")
    return tuple(rows)


def read_json(path: Path) -> tuple[object, ...]:
    """The items of a JSON file that holds a list. Raises `DataFileError`."""
    try:
        content = msgspec.json.decode(_read_text(path))
    except (msgspec.DecodeError, RecursionError) as error:
        raise DataFileError(f"{path}: not JSON: {error}") from None
    if not isinstance(content, list) or not content:
        raise DataFileError(f"{path}: expected a list with at least one item")
    return tuple(content)
