"""A wall clock that can be set while a process runs, as a person or NTP sets that of a machine.

libfaketime stands between the process and libc, so every wall clock in it moves: Python's, SQLite's, that of
OpenSSL. The monotonic clock stays as it is, as it does on a machine.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path

from tests.support.clients.peers import WsPeer

_PLACES = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime")
NEAR_S = 60.0


class MovedClock:
    """The clock of the process that is started with `prefix`."""

    def __init__(self, home: Path) -> None:
        self._file = home / "clock"
        self.set(0)

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to put before a command."""
        found = [path for place in _PLACES for path in Path("/").glob(f"{place[1:]}/libfaketimeMT.so.1")]
        assert found, "libfaketime is not installed (Debian: faketime)"
        return (
            "env",
            f"LD_PRELOAD={found[0]}",
            f"FAKETIME_TIMESTAMP_FILE={self._file}",
            "FAKETIME_NO_CACHE=1",  # it reads the file each time it is asked
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "FAKETIME_FORCE_MONOTONIC_FIX=0",  # for old libcs; here it makes waits for a lock spin
            "NO_FAKE_STAT=1",
        )

    def set(self, offset_s: int) -> None:
        """Put the process's clock that far ahead of the machine's; it notices at once."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+d}\n")
        new.replace(self._file)

    async def jump(self, offset_s: int, peer: WsPeer) -> None:
        """Set it, and wait until the server that `peer` is connected to says so."""
        self.set(offset_s)
        deadline = time.monotonic() + 30
        while abs(await server_time(peer) - time.time() - offset_s) > NEAR_S:
            assert time.monotonic() < deadline, f"the clock did not jump to {offset_s:+d} s"
            await asyncio.sleep(0.1)


async def server_time(peer: WsPeer) -> float:
    """The Unix time of the server, from its answer to a ping."""
    name = f"clock-{time.monotonic_ns()}"
    peer.send("ping", name)
    deadline = time.monotonic() + 10
    while True:
        for message in reversed(peer.messages):
            if message.get("id") == name:
                return datetime.fromisoformat(message["timestamp"]).timestamp()
        assert time.monotonic() < deadline, "no answer to a ping"
        await asyncio.sleep(0.01)
