"""What the end of a connection means for the whole run: done, to be done again, or an error. Pure."""

from __future__ import annotations

from rtcli.apps.ws.expectations import Wanted
from rtcli.client.failures import Failure
from rtcli.client.raw.ending import By, Ending, failure_of
from rtcli.errors import CliError, Exit

_LOOK = "-v shows what came instead"


def judge(ending: Ending, where: str, wanted: Wanted, *, unsent: bool) -> Failure | None:
    """Return why to try again; None for a good end. Raises CliError for what trying again cannot mend.

    `unsent`: a part of the input was not sent. What came is in `wanted`.
    """
    if wanted.is_over:
        if wanted.is_met:
            return None
        raise CliError(wanted.problem, hint=_LOOK, exit_code=Exit.SERVER)
    if not ending.in_order:
        return failure_of(ending, where)
    closed = f"{where} closed the connection ({ending})"
    facts = {"close_code": ending.code, "close_reason": ending.reason}
    if wanted.is_anything and ending.by is By.SERVER:
        raise CliError(f"{closed}, and {wanted.problem}", hint=_LOOK, exit_code=Exit.SERVER, facts=facts)
    if wanted.is_anything:
        raise CliError(f"{wanted.problem} in time", hint="wait longer with --linger", exit_code=Exit.TIMEOUT)
    if unsent and ending.by is By.SERVER:
        raise CliError(
            f"{closed} before all of the input was sent",
            hint="-v shows what came before it",
            exit_code=Exit.CANNOT_CONNECT,
            facts=facts,
        )
    return None
