"""What the methods of `Realtime` raise, beside ValueError for arguments that the protocol does not allow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rtcli_server.problems import ProblemError


class RealtimeError(Exception):
    """Something could not be done; the text is for people."""


class UnavailableError(RealtimeError):
    """The log, or another instance, cannot do this now; the text says whether that is certain."""


class ConflictError(RealtimeError):
    """The id was used for something else within the last five minutes."""


class NotRunningError(RealtimeError):
    """The server does not run, or it runs on another event loop."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise for a program what the HTTP API answers to a client."""
    try:
        yield
    except ProblemError as problem:
        raise _error_of(problem) from None


def _error_of(problem: ProblemError) -> Exception:
    if problem.status >= 500:
        return UnavailableError(problem.detail)
    return ConflictError(problem.detail) if problem.status == 409 else ValueError(problem.detail)
