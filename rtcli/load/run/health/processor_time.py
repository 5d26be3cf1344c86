"""Processor time that the load generator did not get: stolen by the hypervisor, or held back by a quota.

Linux tells both: `/proc/stat` has the time in which the hypervisor ran others (proc(5), field `steal`), and
`cpu.stat` of a control group the time for which its processes were held back by a quota (`throttled_usec` in
version 2, `throttled_time` in nanoseconds in version 1). Elsewhere both are 0.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_STEAL = 8  # field of the line of all processors, behind its name
_SECONDS_PER_UNIT = {"throttled_usec": 1e-6, "throttled_time": 1e-9}


class TakenTime(NamedTuple):
    """Processor time that was taken, in seconds: of all processors, and of all processes of the group."""

    stolen: float
    throttled: float


def stolen_ticks(stat: str) -> int:
    """The stolen time of all processors in `/proc/stat`, in clock ticks; 0 where it is not told."""
    fields = stat.partition("\n")[0].split()
    try:
        return int(fields[_STEAL]) if fields[0] == "cpu" else 0
    except (IndexError, ValueError):
        return 0


def throttled_seconds(cpu_stat: str) -> float:
    """The time for which a quota held processes back, in a `cpu.stat` of either version; else 0."""
    for line in cpu_stat.splitlines():
        name, _, value = line.partition(" ")
        if name in _SECONDS_PER_UNIT and value.isdecimal():
            return int(value) * _SECONDS_PER_UNIT[name]
    return 0.0


def cpu_stat_files(cgroups: str, root: Path) -> list[Path]:
    """The `cpu.stat` files of a process's group and the groups above it, by its `/proc/PID/cgroup`.

    A quota anywhere above holds the process back, too. In a container, the path may be that of the host,
    which does not exist inside; the group that is mounted at the root is the container's then.
    """
    found: dict[Path, None] = {}
    for line in cgroups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mounts = [root, root / "unified"]
        elif "cpu" in controllers.split(","):
            mounts = [root / controllers, root / "cpu"]
        else:
            continue
        for mount in mounts:
            found.update(dict.fromkeys(_with_parents(mount, path)))
    unique = {file.resolve(): None for file in found if file.is_file()}
    return list(unique)


def _with_parents(mount: Path, path: str) -> Iterator[Path]:
    inside = PurePosixPath(path.lstrip("/"))
    for group in (inside, *inside.parents):
        if ".." not in group.parts:
            yield mount / group / "cpu.stat"


class ProcessorTime:
    """Reads the time that was taken since the last reading."""

    def __init__(self, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> None:
        self._stat = proc / "stat"
        self._quotas = cpu_stat_files(_read(proc / "self" / "cgroup"), cgroups)
        self._tick = 1 / os.sysconf("SC_CLK_TCK")
        self._last = self._total()

    def _total(self) -> TakenTime:
        throttled = sum(throttled_seconds(_read(file)) for file in self._quotas)
        return TakenTime(stolen_ticks(_read(self._stat)) * self._tick, throttled)

    def taken(self) -> TakenTime:
        """The time taken since the last call, or since the start."""
        before, self._last = self._last, self._total()
        return TakenTime(
            max(0.0, self._last.stolen - before.stolen), max(0.0, self._last.throttled - before.throttled)
        )


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
