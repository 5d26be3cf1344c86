"""The grammar of `data`: where the values of `${name}` come from, and the files that hold them."""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from rtcli.load.scenario import model
from rtcli.load.scenario.grammar.context import FieldError, ReadContext, Schema
from rtcli.load.scenario.grammar.field_types import Choice, ListOf, Parsed, Text
from rtcli.load.scenario.grammar.scalars import generate_rows, parse_pick, parse_words
from rtcli.load.scenario.grammar.sections import Field, Section
from rtcli.load.scenario.nodes import Node

_MAX_FILE_BYTES = 64 * 1_048_576


class DataFileError(ValueError):
    """The data file cannot be used; the text says why."""


def _read_text(path: Path) -> str:
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):  # a FIFO without a writer would never answer
            raise DataFileError(f"{path} is {'a directory' if stat.S_ISDIR(kind) else 'not a regular file'}")
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise DataFileError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > _MAX_FILE_BYTES:
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


class DataFile:
    """The path of a data file, relative to the scenario. The file is read with the scenario."""

    def __init__(self, form: str) -> None:
        self.form = form

    def read(self, node: Node, context: ReadContext) -> tuple[object, ...]:
        """Its rows."""
        path = (context.base or Path()) / Text("the path of a file").read(node, context)
        try:
            return read_csv(path) if self.form == "csv" else read_json(path)
        except DataFileError as error:
            raise FieldError(node, str(error)) from None

    def schema(self) -> Schema:
        """A path."""
        return {"type": "string"}


_SOURCES: Mapping[str, Field] = {
    "csv": Field(DataFile("csv"), "a CSV file with column names in its first line"),
    "json": Field(DataFile("json"), "a JSON file that holds a list"),
    "values": Field(ListOf(Text(), min_items=1), "a list of texts"),
    "gen": Field(
        Parsed(generate_rows, "generated texts, like room-{1..20}", r"\{\d+\.\.\d+\}"), "generated texts"
    ),
    "lorem": Field(
        Parsed(parse_words, "a number of words, like 8..40", numbers=True), "so many made-up words"
    ),
}


def _build_feeder(
    *,
    pick: Any = "random",
    each: Any = "",
    lorem: tuple[int, int] | None = None,
    **rows: tuple[object, ...],
) -> partial[model.Feeder]:
    given = len(rows) + (lorem is not None)
    if given != 1:
        raise ValueError(f"data needs exactly one of {', '.join(_SOURCES)}")
    each = each or ("user" if lorem is None else "use")
    if pick == "unique" and each == "use":
        raise ValueError("`pick: unique` gives each user one row: it does not go with `each: use`")
    content = next(iter(rows.values()), ())
    return partial(model.Feeder, rows=tuple(content), lorem=lorem, pick=pick, each=each)


FEEDER = Section(
    "data",
    {
        **_SOURCES,
        "pick": Field(
            Parsed(parse_pick, "random, sequence, unique or zipf(1.1)"), "which row a user gets; random"
        ),
        "each": Field(Choice.of("user", "use"), "user: drawn once for each user; use: anew each time"),
    },
    _build_feeder,
)
