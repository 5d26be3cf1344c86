"""The capacity of this machine for a load generator, and whether an estimate fits."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from rtcli.load.run.estimate import Estimate
from rtcli.units import format_bytes, format_duration, format_number

_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_MEMORY = Path("/proc/meminfo")
MAX_SENT_PER_S = 1_000_000  # by a worker: ten times what one has ever done
MAX_DELIVERED_PER_S = 10_000_000  # to a worker: the same
MAX_DURATION_S = 0xFF_FFFF_FFFF / 1e6  # as much time as the tokens in messages have room for
LOOPBACK_SOURCES = 200  # source addresses 127.0.x.y that connections are spread over


@dataclass(frozen=True, slots=True)
class MachineLimits:
    """Limits of this machine. None: unknown on this system."""

    descriptors: int | None  # that a process may have open
    ports: int | None  # for connections from one address to one other
    memory: int | None  # bytes that are available without swapping
    cores: int


def read_machine_limits() -> MachineLimits:
    """Read the limits of this process and machine."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return MachineLimits(None if hard == resource.RLIM_INFINITY else hard, _ports(), _memory(), cores)


def _ports() -> int | None:
    try:
        low, high = map(int, _PORT_RANGE.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return None
    return high - low + 1


def _memory() -> int | None:
    try:
        lines = _MEMORY.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def find_obstacles(need: Estimate, limits: MachineLimits, *, loopback: bool, workers: int = 1) -> list[str]:
    """The reasons why the run cannot work on this machine, one sentence each, with what to do about it."""
    found: list[str] = []
    per_worker = need.descriptors // workers
    if limits.descriptors is not None and per_worker > limits.descriptors:
        found.append(
            f"{format_number(per_worker)} file descriptors are needed in a process and "
            f"{format_number(limits.descriptors)} are allowed: raise `ulimit -Hn`, or use more --workers"
        )
    sources = LOOPBACK_SOURCES if loopback else 1
    if limits.ports is not None and need.connections > limits.ports * sources:
        found.append(
            f"{format_number(need.connections)} connections need a local port each and there are "
            f"{format_number(limits.ports * sources)}: widen net.ipv4.ip_local_port_range, or shard the run"
        )
    if limits.memory is not None and need.memory > limits.memory:
        found.append(
            f"{format_bytes(need.memory)} of memory are needed, {format_bytes(limits.memory)} are free: "
            "take fewer users, or shard the run"
        )
    return found + _beyond_any_machine(need, workers)


def _beyond_any_machine(need: Estimate, workers: int) -> list[str]:
    """Why the plan cannot be run on any machine."""
    found: list[str] = []
    if need.duration > MAX_DURATION_S:
        most = format_duration(MAX_DURATION_S)
        found.append(f"a run of {format_duration(need.duration)} is planned, and it can take {most} at most")
    sent_per_s = max(phase.sent_per_s for phase in need.phases)
    if sent_per_s > MAX_SENT_PER_S * workers:
        found.append(_too_many("messages", need.sent, sent_per_s, MAX_SENT_PER_S))
    if need.delivered_per_s > MAX_DELIVERED_PER_S * workers:
        found.append(_too_many("deliveries", need.delivered, need.delivered_per_s, MAX_DELIVERED_PER_S))
    return found


def _too_many(what: str, total: float, per_s: float, most: int) -> str:
    return (
        f"{format_number(round(total))} {what} are planned, {format_number(round(per_s))} a second, and "
        f"a worker cannot do more than {format_number(most)}: take a lower rate, or fewer users"
    )
