"""What nobody looked at: tracebacks in the logs of servers, and exceptions left to the collector.

Each is a bug, in whichever test it shows: work that ended in silence, or an error that nobody handles. A test
that provokes one says so with the marker `logs_traceback`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typing_extensions import override

NEVER_RETRIEVED = "never retrieved"  # asyncio, of a task or future whose exception nobody has looked at
WORDS = ("Traceback (most recent call last)", NEVER_RETRIEVED)

_read_bytes: dict[Path, int] = {}  # of each log, how much of it has been looked at


def watch(log: Path) -> None:
    """Look at what is written to this file, from its end on, after each test."""
    if log not in _read_bytes:
        _read_bytes[log] = log.stat().st_size if log.exists() else 0


def in_text(text: str) -> list[str]:
    """The lines with one of the words, and what comes after each."""
    lines = text.splitlines()
    at = [number for number, line in enumerate(lines) if any(word in line for word in WORDS)]
    return ["\n".join(lines[max(0, number - 1) : number + 30]) for number in at]


def in_watched() -> list[str]:
    """What is new in the watched files."""
    found: list[str] = []
    for log, read in list(_read_bytes.items()):
        if not log.exists():
            del _read_bytes[log]
            continue
        with log.open("rb") as file:
            file.seek(read)
            data = file.read()
        _read_bytes[log] = read + len(data)
        found += [f"{log}: {text}" for text in in_text(data.decode("utf-8", "replace"))]
    return found


class _Collected(logging.Handler):
    """Keeps what asyncio says about exceptions that nobody has looked at, in this process."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if NEVER_RETRIEVED in record.getMessage():
            self.found.append(f"in this process: {self.format(record)}")


@contextmanager
def collected() -> Iterator[list[str]]:
    """Collect within the block; the list is complete after it."""
    handler, logger = _Collected(), logging.getLogger("asyncio")
    logger.addHandler(handler)
    try:
        yield handler.found
    finally:
        logger.removeHandler(handler)
        handler.found += in_watched()
