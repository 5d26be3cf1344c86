"""Loops over the callbacks of many go on after one that raises: what it raised is logged.

Not for hot loops: there a `try` of their own costs nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def contained(log: logging.Logger, text: str, *arguments: object) -> Iterator[None]:
    """Log what the block raises, with `text`, and go on after it. A cancellation is passed on."""
    try:
        yield
    except Exception:
        log.exception(text, *arguments)
