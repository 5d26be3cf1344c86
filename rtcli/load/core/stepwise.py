"""Work that takes long, done in steps between which the event loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator


class StepwiseWork:
    """Work whose steps are those of iterators. Whoever adds it does not wait for it."""

    def __init__(self) -> None:
        self._waiting: list[Iterator[None]] = []

    def add(self, work: Iterator[None]) -> None:
        """Add work, which is done by the next `finish`."""
        self._waiting.append(work)

    async def finish(self) -> None:
        """Do all the work that there is.

        Whoever finishes meanwhile does some of the steps. When one is cancelled, the others go on from there.
        """
        while self._waiting:
            work = self._waiting[-1]
            for _ in work:
                await asyncio.sleep(0)
            if work in self._waiting:  # another may have done the last step
                self._waiting.remove(work)
