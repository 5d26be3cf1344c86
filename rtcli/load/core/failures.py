"""Failures of the load generator itself: bugs of an adapter or of our own, data that do not fit, no means.

They end the run, and nothing that they caused is held against the server. Whatever calls foreign code (an
adapter, a template, an observer of frames) reports what that raises to `Failures`, and goes on with the next
item.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from rtcli.load.errors import AdapterFailedError
from rtcli.load.scenario.expressions import MissingDataError
from rtcli.load.scenario.protocols import AdapterError, summarize
from rtcli.load.scenario.steps import Step

_log = logging.getLogger("rtcli.loadtest")


@dataclass(frozen=True, slots=True)
class OwnFailure:
    """A failure, for people. `occasion`: for whom and in which step it came about first, as far as known.

    `is_bug` False: the generator lacked the means. `worker` counts from 0.
    """

    text: str
    is_bug: bool = True
    worker: int = 0
    occasion: str = ""

    def __str__(self) -> str:
        return f"{self.text}; {self.occasion}" if self.occasion else self.text


class Failures:
    """The failures of one worker. The first ends the run, so `report` gets that one alone."""

    def __init__(self, report: Callable[[OwnFailure], None], *, worker: int = 0) -> None:
        self.first: OwnFailure | None = None
        self._report = report
        self._worker = worker

    def record(self, error: Exception, *, user: str = "", step: Step | None = None) -> None:
        """Record an exception; `user` and `step`: who did what, as far as it is known."""
        if self.first is not None:
            return
        is_bug = not isinstance(error, MemoryError)
        self.first = OwnFailure(_describe(error), is_bug, self._worker, _occasion(user, step))
        if not isinstance(error, AdapterFailedError | AdapterError | MissingDataError):
            _log.error("a worker failed", exc_info=error)
        self._report(self.first)


def _describe(error: Exception) -> str:
    """Say what failed: the adapter with its method and line, the scenario, or our own line; and the error."""
    if isinstance(error, AdapterFailedError):
        return f"a bug in the adapter `{error.protocol}`: {error}"
    if isinstance(error, AdapterError):
        return str(error)
    if isinstance(error, MissingDataError):
        return f"the scenario's data do not fit: {error}"
    if isinstance(error, MemoryError):
        return "the load generator has no memory left"
    where = place_of(error.__traceback__, "rtcli")
    return f"a bug in rtcli: {summarize(error)}{f' ({where})' if where else ''}"


def _occasion(user: str, step: Step | None) -> str:
    parts = [f"for {user}"] if user else []
    if step is not None:
        line = "" if step.location is None else f", line {step.location.line}"
        parts.append(f"in step {step.label}{line}")
    return " ".join(parts)


def place_of(traceback: TracebackType | None, package: str) -> str:
    """The innermost line of a traceback that is in a package, as `package/module.py:12`; "" without one."""
    found = ""
    while traceback is not None:
        frame = traceback.tb_frame
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] == package:
            found = f"{_short_path(name, frame.f_code.co_filename)}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found


def _short_path(module: str, file: str) -> str:
    """The end of a file's path, from the top of its package on."""
    path = Path(file)
    depth = module.count(".") + 1 + (path.stem == "__init__")
    return "/".join(path.parts[-depth:])
