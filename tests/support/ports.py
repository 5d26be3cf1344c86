"""Ports that nobody listens on."""

from __future__ import annotations

import contextlib
import socket


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    while True:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            first = free_port()
            for number in range(count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", first + number))
            return first
