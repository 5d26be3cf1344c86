"""Another stdin of this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def piped_stdin() -> Iterator[int]:
    """Give the writing end of a pipe that is this process's stdin."""
    reading, writing = os.pipe()
    saved = os.dup(0)
    os.dup2(reading, 0)
    os.close(reading)
    try:
        yield writing
    finally:
        os.dup2(saved, 0)
        os.close(saved)
