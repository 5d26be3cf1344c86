"""Errors of the command line become those of the library: their kind, and hints that a program can follow."""

from __future__ import annotations

import ssl

import pytest

import rtcli
from rtcli.client import failures
from rtcli.errors import CliError, Exit
from rtcli.library.errors import for_programs


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError()
    error.verify_message = "self-signed certificate"
    return error


FAILURES = [
    failures.of_network(ConnectionRefusedError(), "h:1"),
    failures.of_network(untrusted(), "h:1"),
    failures.of_network(TimeoutError(), "h:1"),
    *(failures.of_status(status, "h:1", what="nothing") for status in (400, 401, 403, 404, 500, 503)),
    *(failures.of_foreign_status(status, "h:1", what="nothing") for status in (400, 401, 403, 404, 503)),
    *(failures.of_close(code, "x", "h:1") for code in (1000, 1006, 1008, 1013, 4002, 4500, 4502)),
    failures.of_redirect(ValueError("to nowhere"), "h:1"),
    failures.of_stranger("h:1"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.reason)
def test_no_hint_names_an_option_that_a_program_does_not_have(failure: failures.Failure) -> None:
    raised = for_programs(failure.error)
    assert type(raised) in {rtcli.CannotConnectError, rtcli.RefusedError, rtcli.UnexpectedAnswerError}
    assert raised.message == failure.error.message
    assert raised.code
    assert raised.__cause__ is failure.error
    without_commands = raised.hint.replace("rtcli token create --sub you --out t", "")
    assert "--" not in without_commands
    assert bool(raised.hint) is bool(failure.error.hint) or "--" in failure.error.hint


@pytest.mark.parametrize(
    ("exit_code", "kind"),
    [
        (Exit.USAGE, rtcli.UsageError),
        (Exit.CANNOT_CONNECT, rtcli.CannotConnectError),
        (Exit.AUTH, rtcli.RefusedError),
        (Exit.SERVER, rtcli.UnexpectedAnswerError),
    ],
)
def test_the_kind_of_an_error(exit_code: Exit, kind: type[rtcli.RtcliError]) -> None:
    raised = for_programs(CliError("it", hint="do", exit_code=exit_code))
    assert type(raised) is kind
    assert (raised.message, raised.hint, str(raised), raised.exit_code) == ("it", "do", "it", exit_code)


def test_an_error_of_the_library_stays_what_it_is() -> None:
    error = rtcli.NotConfirmedError("perhaps", id="c-1")
    assert for_programs(error) is error
    assert (error.id, error.code) == ("c-1", "not_confirmed")
