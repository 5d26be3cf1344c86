"""How much memory this process may use: the machine's, or less where its control group has a limit.

Control groups: cgroups(7); `memory.max` of version 2, `memory.limit_in_bytes` of version 1.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MIN_BUDGET_BYTES = 256 * 1024 * 1024
_V2 = ("sys/fs/cgroup", "memory.max")
_V1 = ("sys/fs/cgroup/memory", "memory.limit_in_bytes")


def default_budget(limit_bytes: int, workers: int) -> int:
    """What may wait for clients in one of `workers` processes: together a quarter of the memory."""
    return max(MIN_BUDGET_BYTES, limit_bytes // 4 // workers)


def memory_limit(root: Path = Path("/")) -> int:
    """The number of bytes that this process and those beside it may use; `root` is for tests."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min((machine, *_group_limits(root)))


def _group_limits(root: Path) -> Iterator[int]:
    for hierarchy, file, group in _groups(_read(root / "proc/self/cgroup")):
        # The limits of all groups above hold too. In a container the path may be one of the host, which
        # cannot be seen; then the container's own group is mounted at the top.
        for parent in (PurePosixPath(group), *PurePosixPath(group).parents):
            text = _read(root / hierarchy / str(parent).lstrip("/") / file).strip()
            if text.isdecimal():  # else "max", or there is no such file
                yield int(text)


def _groups(text: str) -> Iterator[tuple[str, str, str]]:
    """Of each line of /proc/self/cgroup about memory: the hierarchy, the file with the limit, the group."""
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            yield (*_V2, group)
        elif "memory" in controllers.split(","):
            yield (*_V1, group)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
