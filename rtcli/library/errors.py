"""What the library raises. Each error says what to do about it (`hint`) and has a `code` for programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from rtcli.errors import CliError, Exit, RtcliError


class UsageError(RtcliError, ValueError):
    """An argument that cannot be right: an address, the name of a room, a text that no server takes."""

    exit_code = Exit.USAGE


class CannotConnectError(RtcliError):
    """Nobody answers there, or the connection is lost and does not come back."""

    exit_code = Exit.CANNOT_CONNECT


class RefusedError(RtcliError):
    """The server understood, and says no. `code` is its code, such as `invalid_token` or `too_long`."""

    exit_code = Exit.AUTH


class NotConfirmedError(RtcliError):
    """A text may be in the server's log or not. Published again with the same `id`, it is there once."""

    exit_code = Exit.CANNOT_CONNECT

    def __init__(self, message: str, *, id: str) -> None:  # noqa: A002 - the name that `publish` has for it
        super().__init__(message, hint="publish it again with the same id", code="not_confirmed")
        self.id = id


def not_confirmed(why: str, identifier: str) -> NotConfirmedError:
    """The error of a text without an answer."""
    return NotConfirmedError(f"not confirmed: {why}", id=identifier)


class UnexpectedAnswerError(RtcliError):
    """Something else than a server of this kind answers there, or it does not keep to the protocol."""

    exit_code = Exit.SERVER


class ClosedError(RtcliError, RuntimeError):
    """The client or stream was closed before, by the program itself."""

    exit_code = Exit.BUG


_KINDS: dict[Exit, tuple[type[RtcliError], str]] = {
    Exit.USAGE: (UsageError, "usage"),
    Exit.CANNOT_CONNECT: (CannotConnectError, "cannot_connect"),
    Exit.AUTH: (RefusedError, "refused"),
    Exit.SERVER: (UnexpectedAnswerError, "unexpected_answer"),
}
_PARAMETERS = {  # what a hint says to people at a terminal, and what a program does instead
    "--wait 30s": "wait_s=30",
    "--cacert FILE (or, knowing the risk, -k)": "ssl_context=",
    "then --token-file t": "then token=",
    " with --url ws://": ": ws://",
    "--proxy none": 'proxy="none"',
    "without --state and --last-id": "without last_event_id",
}
_OPTION = re.compile(
    r"--(wait|url|cacert|cert|key|token-file|secret-file|header|state|last-id|data|method)\b"
)


def for_programs(error: RtcliError) -> RtcliError:
    """The library's error for one that names options of the command line, which becomes its cause."""
    if not isinstance(error, CliError):
        return error
    kind, code = _KINDS.get(error.exit_code, (UnexpectedAnswerError, "unexpected_answer"))
    hint = error.hint
    for option, parameter in _PARAMETERS.items():
        hint = hint.replace(option, parameter)
    hint = "" if _OPTION.search(hint) else hint
    raised = kind(error.message, hint=hint, code=error.code or code)
    raised.__cause__ = error
    return raised


@contextmanager
def raised_for_programs() -> Iterator[None]:
    """Within the block, errors are raised as the library's."""
    try:
        yield
    except CliError as error:
        raise for_programs(error) from error
