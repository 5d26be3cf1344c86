"""Errors that end a command, and their exit codes (docs/cli.md)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


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


class CliError(Exception):
    """An error that a person can act on. Printed as two lines, `error:` and `hint:`, without a traceback.

    `facts` are more fields of its record with `--json`.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        exit_code: Exit = Exit.USAGE,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
        self.facts = facts or {}
