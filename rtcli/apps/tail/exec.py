"""`--exec CMD`: runs a command for each event, one after the other, without a shell."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Mapping

from rtcli.errors import CliError, Exit

_KILL_AFTER_S = 2.0


class Executor:
    """Runs a command with an event's data on its stdin and its properties in the environment.

    The text of an event is never part of a command line. The child has its own process group, so that
    Ctrl-C reaches rtcli alone, which then ends the child in order.
    """

    def __init__(self, command: str, environment: Mapping[str, str]) -> None:
        try:
            self.argv = shlex.split(command)
        except ValueError as error:
            raise CliError(f"--exec {command!r}: {error}", hint="quote it as in a shell") from None
        if not self.argv:
            raise CliError("--exec is empty", hint="--exec 'notify-send rtcli'")
        self._environment = dict(environment)

    async def run(self, data: str, facts: Mapping[str, str]) -> int:
        """Run the command to its end; returns its exit code (negative: the signal that ended it).

        `facts` become RTCLI_EVENT_<NAME>. Raises CliError (7) when the command cannot be started.
        """
        # An environment cannot hold NUL, and a lone surrogate has no bytes.
        extra = {
            f"RTCLI_EVENT_{name}": value.replace("\0", "").encode("utf-8", "replace").decode()
            for name, value in facts.items()
        }
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self.argv,
                stdin=asyncio.subprocess.PIPE,
                env=self._environment | extra,
                start_new_session=True,
            )
        )
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:  # it may run already, and what it started, too
            with contextlib.suppress(OSError, ValueError):
                await _end(await starting)
            raise
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise CliError(
                f"--exec {self.argv[0]}: {why}", hint="is it on PATH?", exit_code=Exit.EXEC
            ) from None
        try:
            await process.communicate(data.encode("utf-8", "replace"))
        except asyncio.CancelledError:
            await _end(process)
            raise
        return process.returncode or 0


async def _end(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _KILL_AFTER_S)
            return
