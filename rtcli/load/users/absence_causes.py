"""Why a user is not there: errors of connecting and close codes, in the words of the users account."""

from __future__ import annotations

import errno
import os
import ssl

import httpx

from rtcli.load.accounts.absences import Cause
from rtcli.load.errors import RefusedError, StepError
from rtcli.load.results.accounts import GENERATOR_BUG
from rtcli.load.scenario.expressions import MissingDataError
from rtcli.load.scenario.model import STREAM_BROKEN, STREAM_END, close_name

GENERATOR_FAILED = Cause(GENERATOR_BUG, "the load generator or an adapter failed", own=True)
LOST = Cause("lost", "the connection was lost")
_LACKING = {
    errno.EMFILE: Cause("generator_descriptors", "the load generator has no file descriptors left", own=True),
    errno.ENFILE: Cause("generator_descriptors", "the system has no file descriptors left", own=True),
    errno.EADDRNOTAVAIL: Cause("generator_ports", "the load generator has no ports left", own=True),
    errno.ENOBUFS: Cause("generator_memory", "the load generator's system has no buffers left", own=True),
    errno.ENOMEM: Cause("generator_memory", "the load generator's system has no memory left", own=True),
}
_WORDS = 80  # characters of an error's own text


def of_close(code: int) -> Cause:
    """The end of a connection."""
    if code == STREAM_END:
        return Cause(close_name(code), "the event stream ended")
    if code == STREAM_BROKEN:
        return Cause(close_name(code), "the event stream broke off")
    if code == 1006:
        return Cause("close_1006", "the connection broke off (1006)")
    return Cause(f"close_{code}", f"the server closed the connection with {code}")


def of_refused_join(error: StepError) -> Cause:
    """The server refused a join, or the user cannot join at all."""
    return Cause(error.code, f"the join was refused: {error.code}")


def of_failed_flow(error: Exception) -> Cause:
    """A step failed that is no connect and no join."""
    if isinstance(error, MissingDataError):
        return Cause("missing_data", f"a step failed, and the flow began again: {error}")
    code = error.code if isinstance(error, StepError) else "flow_timeout"
    return Cause(code, f"a step failed ({code}), and the flow began again")


def of_failed_attempt(error: Exception, *, unanswered: Cause, closed: Cause | None, stream: bool) -> Cause:
    """An attempt to connect failed.

    `unanswered`: the cause if it took too long. `closed`: the end of the connection, if it had been opened.
    `stream`: it was to be an event stream.
    """
    if isinstance(error, TimeoutError):
        return unanswered
    if isinstance(error, RefusedError):
        return _of_refusal(error, stream=stream)
    if isinstance(error, OSError):
        return _of_system_error(error)
    if isinstance(error, StepError):
        return of_refused_join(error)
    return closed or LOST


def _of_refusal(error: RefusedError, *, stream: bool) -> Cause:
    if error.status and str(error) == f"HTTP {error.status}":
        what = "request for the event stream" if stream else "handshake"
        return Cause(f"http_{error.status}", f"the server answered {error.status} to the {what}")
    return Cause("bad_answer", str(error)[:_WORDS])


def _of_system_error(error: OSError) -> Cause:
    lacking = _LACKING.get(error.errno or 0)
    if lacking is not None:
        return lacking
    if isinstance(error, ConnectionRefusedError):
        return Cause("connection_refused", "connection refused")
    if isinstance(error, ConnectionError):
        return Cause("connection_reset", "the server broke off the connection")
    if isinstance(error, ssl.SSLError):
        return Cause("tls", f"TLS failed: {error.reason or 'unknown'}")
    return Cause("unreachable", os.strerror(error.errno).lower() if error.errno else "unreachable")


def of_lost_answer(closed: int | None) -> Cause:
    """A message was not answered. `closed`: its connection ended with this code; None: it did not end."""
    if closed is None:
        return Cause("no_answer", "no acknowledgement came")
    end = of_close(closed)
    return end._replace(text=f"{end.text} before the acknowledgement")


def of_failed_publish(error: httpx.HTTPError) -> Cause:
    """A request to publish had no answer, or could not be made."""
    if isinstance(error, httpx.PoolTimeout):
        return Cause("generator_connections", "too many requests to publish at once", own=True)
    if isinstance(error, httpx.ConnectTimeout | httpx.ReadTimeout | httpx.WriteTimeout):
        return Cause("no_answer", "no answer to the request to publish")
    if isinstance(error, httpx.ConnectError):
        return _of_system_error(_system_error(error))
    return Cause("connection_reset", "the server broke off the request to publish")


def _system_error(error: BaseException) -> OSError:
    """The system's error that led to another one."""
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, OSError) and reason.errno:
            return reason
        reason = reason.__cause__ or reason.__context__
    return OSError(str(error))
