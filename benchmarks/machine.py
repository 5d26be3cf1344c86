"""What the figures were measured on."""

import os
import platform
from pathlib import Path

import psutil


def cpu_model(cpuinfo: str) -> str:
    r"""The processor's name in the text of ``/proc/cpuinfo``; "unknown" when it does not say.

    >>> cpu_model("processor : 0\nmodel name\t: Some CPU @ 2 GHz\n")
    'Some CPU @ 2 GHz'
    """
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return "unknown"


def describe() -> dict[str, str]:
    """Processor, cores, memory, kernel, and how busy the machine was before the run."""
    cpuinfo = Path("/proc/cpuinfo")
    return {
        "processor": cpu_model(cpuinfo.read_text() if cpuinfo.exists() else ""),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "load before the run": f"{os.getloadavg()[0]:.2f}",
    }
