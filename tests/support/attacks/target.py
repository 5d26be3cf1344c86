"""A server to attack: a real process, and what can be seen of it from outside and by the probe inside."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from pathlib import Path

from typing_extensions import override

from tests.support.attacks.probe import FIGURES
from tests.support.paths import ROOT
from tests.support.servers.server_process import ServerProcess
from tests.support.servers.watch import descriptors, metric
from tests.support.waiting import until

KIB = 1024
WITH_PROBE = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m")
RESET_PEAK = "5"  # proc(5), /proc/PID/clear_refs


def address(number: int) -> str:
    """The loopback address of an attacker by number. Of 80 each: an address may have 100 connections."""
    return f"127.0.1.{1 + number // 80}"


class Kind(StrEnum):
    """Which server is attacked. `PICOWS` and `PORTABLE`: `rtcli serve` with either WebSocket transport.

    `EMBEDDED`: our router under plain uvicorn, whose limits on HTTP are not ours. It is for attacks behind a
    handshake, and on the API.
    """

    PICOWS = "picows"
    PORTABLE = "portable"
    EMBEDDED = "embedded"


class Target(ServerProcess):
    """A server process with the probe in its loop.

    `options` are those of the command; `settings` are others, by name. An embedded server takes no options.
    """

    def __init__(
        self,
        home: Path,
        kind: Kind,
        *options: str,
        store: str = "memory:",
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.kind = kind
        file = home / "probe"
        file.write_bytes(bytes(FIGURES.size))
        with file.open("r+b") as opened:
            self._figures = mmap.mmap(opened.fileno(), FIGURES.size)
        module = "embedded" if kind is Kind.EMBEDDED else "probed"
        super().__init__(
            home,
            store,
            *options,
            settings={"fast_websockets": kind is Kind.PICOWS, **(settings or {})},
            prefix=(*WITH_PROBE, f"tests.support.attacks.{module}", str(file)),
        )

    @override
    def kill(self) -> None:
        """Kill it if it still runs, and forget the probe."""
        super().kill()
        self._figures.close()

    # -- memory --------------------------------------------------------------------------------------------

    @property
    def resident_bytes(self) -> int:
        """The memory that it has now (VmRSS)."""
        return self._status("VmRSS") * KIB

    @property
    def peak_bytes(self) -> int:
        """The most memory that it had since `reset`: VmHWM, which the kernel keeps."""
        return self._status("VmHWM") * KIB

    def _status(self, field: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1])
        raise LookupError(field)

    # -- the loop ------------------------------------------------------------------------------------------

    @property
    def longest_held_s(self) -> float:
        """The longest time for which something held the loop since `reset`, less what the machine took."""
        return float(FIGURES.unpack_from(self._figures)[0])

    async def until_loop_turns(self) -> None:
        """Wait until the loop has turned: what holds it now is then in `longest_held_s`."""
        ticks = self._ticks
        await until(lambda: self._ticks > ticks + 1, "the loop does not turn")

    @property
    def _ticks(self) -> int:
        return int(FIGURES.unpack_from(self._figures)[1])

    async def reset(self) -> None:
        """Forget the peak of the memory and the longest time for which the loop was held."""
        await self.until_loop_turns()
        FIGURES.pack_into(self._figures, 0, 0.0, 0)
        self._forget_peak()

    def _forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text(RESET_PEAK)

    # -- what is taken -------------------------------------------------------------------------------------

    @property
    def descriptors(self) -> int:
        """How many file descriptors it has."""
        return descriptors(self.pid)

    @property
    def log_bytes(self) -> int:
        """How much it has logged."""
        return self.log.stat().st_size

    async def connections(self) -> int:
        """How many connections it counts, WebSockets and event streams."""
        return int(await metric(self, "rtcli_connections"))


StartTarget = Callable[..., Awaitable[Target]]
