"""How a connection ended, and what that means: the exit code, and whether trying again can help. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rtcli.client.failures import FOREIGN_CREDENTIALS, Failure
from rtcli.errors import CliError, Exit

NO_STATUS = 1005  # the close frame had no code
ABNORMAL = 1006  # there was no close frame
_IN_ORDER = frozenset({1000, NO_STATUS})
_LOST = frozenset({1001, ABNORMAL, 1012, 1013})
_REFUSED = 1008
_TOO_BIG = 1009
_MEANINGS = {
    1001: "it is going away",
    1002: "it says that we broke the WebSocket protocol",
    1003: "it takes no messages of that kind",
    1007: "it could not read a message",
    1009: "a message was too big for it",
    1010: "it wants an extension that we do not have",
    1011: "it has failed",
    1012: "it restarts",
    1013: "it has too much to do",
    1014: "the server behind it failed",
}
_AGAIN = "to connect again after a loss: --reconnect"


class By(StrEnum):
    """Who began the end."""

    SERVER = "server"
    US = "us"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one connection. `problem` says what was wrong when it had to be closed from here."""

    code: int
    reason: str
    by: By
    problem: str = ""

    @property
    def in_order(self) -> bool:
        """Whether it is an end without an error."""
        return not self.problem and (self.code in _IN_ORDER or self.by is By.US)

    def __str__(self) -> str:
        """`1008 no such user`."""
        return f"{self.code} {self.reason}".strip()


def exit_code_of(ending: Ending) -> Exit:
    """The exit code of a command whose connection ended so."""
    if ending.in_order:
        return Exit.OK
    if ending.code in _LOST:
        return Exit.CANNOT_CONNECT
    return Exit.AUTH if ending.code == _REFUSED and ending.by is By.SERVER else Exit.SERVER


def failure_of(ending: Ending, where: str) -> Failure:
    """The failure behind an end that is not in order. `where` is host:port."""
    exit_code = exit_code_of(ending)
    if ending.problem:
        message, hint = f"{where} {ending.problem} ({ending.code})", _hint_of_problem(ending.code)
    elif exit_code is Exit.AUTH:
        message, hint = (
            f"{where} refused this connection ({ending})",
            FOREIGN_CREDENTIALS + ", or the first message",
        )
    elif ending.code == ABNORMAL:
        message, hint = f"{where} dropped the connection ({ending})", _AGAIN
    elif exit_code is Exit.CANNOT_CONNECT:
        message, hint = f"{where} closed the connection ({ending}): {_MEANINGS[ending.code]}", _AGAIN
    else:
        meaning = _MEANINGS.get(ending.code)
        message = f"{where} closed the connection ({ending})" + (f": {meaning}" if meaning else "")
        hint = _hint_of_code(ending.code)
    facts = {"close_code": ending.code, "close_reason": ending.reason}
    error = CliError(message, hint=hint, exit_code=exit_code, facts=facts)
    return Failure(str(ending), error, retry=exit_code is Exit.CANNOT_CONNECT)


def _hint_of_problem(code: int) -> str:
    if code in _LOST:
        return _AGAIN
    return "longer ones are taken with --max-size" if code == _TOO_BIG else "-v shows all frames up to there"


def _hint_of_code(code: int) -> str:
    if code >= 4000:
        return "codes from 4000 on are the application's own: its documentation has them"
    if code >= 3000:
        return "codes from 3000 on are registered with IANA (WebSocket Close Code Number)"
    return "-v shows all frames, with times and sizes"
