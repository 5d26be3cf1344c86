"""Errors of connecting, in the words of the users account."""

from __future__ import annotations

import errno

import pytest

from rtcli.load.accounts.absences import NO_ANSWER
from rtcli.load.errors import ConnectError, LostError, RefusedError, StepError
from rtcli.load.users.absence_causes import of_close, of_failed_attempt


@pytest.mark.parametrize(
    ("error", "code", "text", "own"),
    [
        (TimeoutError(), "no_answer", "no answer to the handshake", False),
        (RefusedError(503, "HTTP 503"), "http_503", "the server answered 503 to the handshake", False),
        (RefusedError(200, "the answer is text/html"), "bad_answer", "the answer is text/html", False),
        (RefusedError(0, "closed without an answer"), "bad_answer", "closed without an answer", False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "connection_refused", "connection refused", False),
        (ConnectionResetError(errno.ECONNRESET, "x"), "connection_reset", "broke off", False),
        (OSError(errno.EHOSTUNREACH, "x"), "unreachable", "no route to host", False),
        (OSError(errno.EMFILE, "x"), "generator_descriptors", "no file descriptors left", True),
        (OSError(errno.EADDRNOTAVAIL, "x"), "generator_ports", "no ports left", True),
        (StepError("forbidden", "x"), "forbidden", "the join was refused: forbidden", False),
        (LostError(), "close_1013", "the server closed the connection with 1013", False),
        (ConnectError("lost", "x"), "close_1013", "the server closed the connection with 1013", False),
    ],
)
def test_each_error_has_a_code_and_a_text(error: Exception, code: str, text: str, own: bool) -> None:
    cause = of_failed_attempt(error, unanswered=NO_ANSWER, closed=of_close(1013), stream=False)
    assert (cause.code, cause.own) == (code, own)
    assert text in cause.text


def test_the_end_of_a_connection_has_its_code() -> None:
    assert of_close(0).code == "stream_ended"
    assert of_close(1).code == "stream_broken"
    assert of_close(1006).code == "close_1006"
