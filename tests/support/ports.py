"""Ports that nobody listens on.

They are taken from below the range from which the kernel gives ports to outgoing connections (from 32 768 on,
in Linux), each test process from a part of its own: so nobody else gets a port before it is used.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket

FIRST, PER_PROCESS, PROCESSES = 12_000, 2_000, 5  # a Redis Cluster also uses the port 10 000 above


def _own_ports() -> itertools.cycle[int]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    first = FIRST + int(worker) % PROCESSES * PER_PROCESS
    start = os.getpid() * 10 % PER_PROCESS  # several sessions at once begin at different places
    return itertools.cycle(first + (start + number) % PER_PROCESS for number in range(PER_PROCESS))


_ports = _own_ports()


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("", port))
        return True
    return False


def free_port() -> int:
    """A port that is free on all addresses; another one at each call."""
    return next(port for port in _ports if _is_free(port))


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    while True:
        first = free_port()
        if all(_is_free(first + number) for number in range(1, count)):
            for _ in range(1, count):
                next(_ports)
            return first
