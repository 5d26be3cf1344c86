"""When a command ends: `--timeout` and `--duration` are two limits of time that mean two things."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Annotated

import typer

from rtcli.cli import options
from rtcli.errors import CliError, Exit
from rtcli.units import format_duration


@dataclass(frozen=True)
class EndOptions:
    """After how many items, or after how many seconds, a command ends."""

    count: Annotated[
        int | None, typer.Option("--count", "-n", min=0, metavar="N", help="End with 0 after N.")
    ] = None
    timeout: options.Timeout = None
    duration: Annotated[
        float | None,
        typer.Option(
            "--duration", parser=options.duration, metavar="DUR", help="End with 0 after that time."
        ),
    ] = None

    def limit(self) -> Limit:
        """The limits of time."""
        return Limit(self.timeout, self.duration)


@dataclass(frozen=True)
class Limit:
    """Seconds or None: `timeout` is a deadline (exit code 5), `duration` a planned end (exit code 0)."""

    timeout: float | None = None
    duration: float | None = None

    async def apply(self, main: Coroutine[object, object, int]) -> int:
        """Run `main` within the limits; its own exit code if it ends before. Raises CliError (5)."""
        planned, deadline = asyncio.timeout(self.duration), asyncio.timeout(self.timeout)
        try:
            async with planned, deadline:
                return await main
        except TimeoutError:
            if deadline.expired():
                raise CliError(
                    f"not done within {format_duration(self.timeout or 0.0)}",
                    hint="give it longer with --timeout",
                    exit_code=Exit.TIMEOUT,
                ) from None
            if planned.expired():
                return Exit.OK
            raise
