from __future__ import annotations

import errno
import socket
import ssl

import pytest

from rtcli.client import failures
from rtcli.errors import Exit

WHERE = "127.0.0.1:8000"


@pytest.mark.parametrize(
    ("status", "exit_code", "retry"),
    [
        (400, Exit.SERVER, False),
        (401, Exit.AUTH, False),
        (403, Exit.AUTH, False),
        (404, Exit.SERVER, False),
        (200, Exit.SERVER, False),
        (408, Exit.CANNOT_CONNECT, True),
        (429, Exit.CANNOT_CONNECT, True),
        (500, Exit.CANNOT_CONNECT, True),
        (503, Exit.CANNOT_CONNECT, True),
    ],
)
def test_statuses(status: int, exit_code: Exit, retry: bool) -> None:
    failure = failures.of_status(status, WHERE, what="no WebSocket")
    assert (failure.error.exit_code, failure.retry) == (exit_code, retry)
    assert str(status) in failure.error.message
    assert WHERE in failure.error.message
    assert failure.error.hint


@pytest.mark.parametrize(
    ("code", "exit_code", "retry"),
    [
        (1000, Exit.CANNOT_CONNECT, False),
        (1001, Exit.CANNOT_CONNECT, True),
        (1002, Exit.SERVER, False),
        (1003, Exit.SERVER, False),
        (1006, Exit.CANNOT_CONNECT, True),
        (1007, Exit.SERVER, False),
        (1008, Exit.AUTH, False),
        (1009, Exit.SERVER, False),
        (1011, Exit.CANNOT_CONNECT, True),
        (1012, Exit.CANNOT_CONNECT, True),
        (1013, Exit.CANNOT_CONNECT, True),
        (4000, Exit.CANNOT_CONNECT, True),
        (4001, Exit.CANNOT_CONNECT, True),
        (4002, Exit.AUTH, True),
        (4003, Exit.CANNOT_CONNECT, True),
        (4500, Exit.AUTH, False),
        (4502, Exit.SERVER, False),
    ],
)
def test_close_codes(code: int, exit_code: Exit, retry: bool) -> None:
    failure = failures.of_close(code, "why", WHERE)
    assert (failure.error.exit_code, failure.retry) == (exit_code, retry)
    assert failure.reason == f"{code} why"


@pytest.mark.parametrize(
    ("error", "word", "retry"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "refused the connection", True),
        (socket.gaierror(socket.EAI_NONAME, "x"), "cannot find the host 127.0.0.1", True),
        (TimeoutError(), "did not answer in time", True),
        (OSError(errno.ENETUNREACH, "x"), "no way to", True),
        (ConnectionResetError(), "closed the connection", True),
        (ssl.SSLEOFError(8, "EOF occurred"), "closed the connection", True),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "no TLS with", False),
        (EOFError("stream ends"), "closed the connection", True),
        (RuntimeError("odd"), "failed: odd", True),
    ],
)
def test_network_errors_are_said_in_words(error: Exception, word: str, retry: bool) -> None:
    failure = failures.of_network(error, WHERE)
    assert word in failure.error.message
    assert failure.retry is retry
    assert failure.error.exit_code == Exit.CANNOT_CONNECT


def test_the_cause_is_found_under_wrappers_and_in_groups() -> None:
    group = ExceptionGroup("all attempts failed", [OSError("v6"), ConnectionRefusedError()])
    wrapped = RuntimeError("library says no")
    wrapped.__cause__ = OSError("All connection attempts failed")
    wrapped.__cause__.__cause__ = group
    assert failures.of_network(wrapped, WHERE).reason == "refused"


def test_an_error_that_causes_itself_does_not_hang() -> None:
    error = RuntimeError("x")
    other = RuntimeError("y")
    error.__context__, other.__context__ = other, error
    assert [str(cause) for cause in failures.chain(error)] == ["x", "y"]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("0", 0.0),
        ("-5", None),
        ("1_000", None),
        ("9e99", None),
        ("٣", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("9" * 10, None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert failures.parse_retry_after(header) == seconds


@pytest.mark.parametrize(
    ("status", "exit_code", "retry"),
    [(401, 4, False), (403, 4, False), (404, 6, False), (426, 6, False), (503, 3, True), (429, 3, True)],
)
def test_a_status_of_a_server_that_is_none_of_ours(status: int, exit_code: int, retry: bool) -> None:
    failure = failures.of_foreign_status(status, "host:1", what="no x", said="because", retry_after="7")
    assert (failure.error.exit_code, failure.retry, failure.retry_after_s) == (exit_code, retry, 7)
    assert str(status) in failure.error.message
    assert failure.error.message.endswith(": because")
    assert failure.error.hint
    assert "rtcli" not in failure.error.hint
    assert failure.error.facts == {"status": status}
