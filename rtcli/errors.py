"""Errors that a person can act on, and the exit codes of commands that end with one (docs/cli.md)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class Exit(IntEnum):
    """Exit codes. Whatever did not work is not 0."""

    OK = 0
    BUG = 1
    USAGE = 2
    CANNOT_CONNECT = 3
    AUTH = 4
    TIMEOUT = 5
    SERVER = 6
    EXEC = 7
    INCONCLUSIVE = 96
    WORSE = 97
    AUDIT = 98
    THRESHOLD = 99
    SIGHUP = 129
    SIGINT = 130
    SIGTERM = 143


class RtcliError(Exception):
    """The base of all errors that rtcli raises on purpose.

    `message` says what happened, `hint` what to do about it (or is empty), and `code` is for programs.
    """

    exit_code = Exit.SERVER
    facts: Mapping[str, object] = MappingProxyType({})

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class CliError(RtcliError):
    """An error that ends a command. Printed as two lines, `error:` and `hint:`, without a traceback.

    `facts` are more fields of its record with `--json`.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        exit_code: Exit = Exit.USAGE,
        code: str = "",
        facts: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.exit_code = exit_code
        self.facts = facts or {}
