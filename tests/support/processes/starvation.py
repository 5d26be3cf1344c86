"""How long threads could have run and did not: what a busy machine, or another one beside it, took from them.

It imports nothing but the standard library: attacked servers have it inside of them.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def starved_s(*tasks: int) -> float:
    """How long these threads could have run, so far, and waited for a processor."""
    waited_ns = 0
    for task in tasks:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            waited_ns += int(Path(f"/proc/{task}/schedstat").read_text().split()[1])
    return waited_ns / 1e9


def stolen_s() -> list[float]:
    """How long, so far, each processor of this machine could have run and the hypervisor ran something else.

    proc(5), /proc/stat: the eighth figure of a processor, in ticks.
    """
    lines = Path("/proc/stat").read_text().splitlines()
    ticks = [int(line.split()[8]) for line in lines if line.startswith("cpu") and not line.startswith("cpu ")]
    return [stolen / os.sysconf("SC_CLK_TCK") for stolen in ticks]
