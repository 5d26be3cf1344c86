"""A probe in the event loop of a server that is attacked: how long something held the loop.

It asks the loop for a tick every 10 ms. How late a tick comes, less the time for which the loop's thread
waited for a processor, is how long something held the loop. The longest such time and the number of ticks
are in a file, where the test reads them and sets them back to zero.
"""

from __future__ import annotations

import asyncio
import mmap
import struct
import threading
import time
from pathlib import Path

import uvloop

from tests.support.processes.starvation import starved_s, stolen_s

INTERVAL_S = 0.01
FIGURES = struct.Struct("=dQ")  # the longest time in seconds, the number of ticks
NOTICED_S = 0.05  # what is shorter is not worth asking for stolen time


class LoopProbe:
    """Ticks on the loop that it is started on."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._figures = mmap.mmap(opened.fileno(), FIGURES.size)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.get_native_id()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to tick."""
        self._loop = loop
        self._wait()

    def _wait(self) -> None:
        assert self._loop is not None
        self._starved, self._stolen = starved_s(self._thread), stolen_s()
        self._due = time.monotonic() + INTERVAL_S
        self._loop.call_later(INTERVAL_S, self._tick)

    def _tick(self) -> None:
        held = time.monotonic() - self._due - (starved_s(self._thread) - self._starved)
        if held > NOTICED_S:
            held -= max(after - before for before, after in zip(self._stolen, stolen_s(), strict=True))
        longest, ticks = FIGURES.unpack_from(self._figures)
        FIGURES.pack_into(self._figures, 0, max(longest, held), ticks + 1)
        self._wait()


def put_probe_into_loops(file: Path) -> None:
    """Let every loop that uvloop makes from now on have a probe."""
    make = uvloop.new_event_loop

    def make_with_probe() -> uvloop.Loop:
        loop = make()
        LoopProbe(file).start(loop)
        return loop

    uvloop.new_event_loop = make_with_probe
