"""What the tests of the SQLite log share."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path


def url(path: Path, options: str = "") -> str:
    """The store's URL."""
    return f"sqlite:{path}{options}"


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """What another connection sees."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def change(path: Path, statement: str) -> None:
    """Change one row, as another program does."""
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement).rowcount == 1


def wal_of(path: Path) -> Path:
    """Where SQLite keeps the write-ahead log of a file."""
    return path.with_name(path.name + "-wal")


def copied(source: Path, directory: Path, *suffixes: str) -> Path:
    """The file with some of those beside it: as a process that is killed now would leave them."""
    directory.mkdir()
    for suffix in ("", *suffixes):
        beside = source.with_name(source.name + suffix)
        if beside.exists():
            shutil.copy(beside, directory)
    return directory / source.name


def overwrite(path: Path, old: bytes, new: bytes) -> None:
    """Write over the first occurrence, in place, as a bad disk or another program does."""
    at = path.read_bytes().index(old)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(new)
