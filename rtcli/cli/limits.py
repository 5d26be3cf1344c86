"""`--timeout` and `--duration`: two limits that mean two things."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass

from rtcli.errors import CliError, Exit
from rtcli.units import format_duration


@dataclass(frozen=True)
class Limit:
    """`timeout`: it should have been done by then (5). `duration`: a planned end (0). In seconds, or none."""

    timeout: float | None = None
    duration: float | None = None

    async def apply(self, main: Coroutine[object, object, int]) -> int:
        """Run `main` within the limits; its own exit code if it ends before. Raises CliError (5)."""
        planned, wanted = asyncio.timeout(self.duration), asyncio.timeout(self.timeout)
        try:
            async with planned, wanted:
                return await main
        except TimeoutError:
            if wanted.expired():
                raise CliError(
                    f"not done within {format_duration(self.timeout or 0.0)}",
                    hint="give it longer with --timeout",
                    exit_code=Exit.TIMEOUT,
                ) from None
            if planned.expired():
                return Exit.OK
            raise
