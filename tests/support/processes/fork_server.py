"""Runs `rtcli` in forks of one process that has imported it. A program: it is started by `forked.py`.

To import our commands takes longer than most tests of them. Everything else is as in a process of its own:
arguments, environment, directory, pipes, exit code. Standard library only, besides what it runs.

Usage: python fork_server.py FD, a listening Unix socket. It ends when its stdin does.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pkgutil
import random
import selectors
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

LENGTH = struct.Struct("!I")


def preload() -> None:
    """Import every command with all that it needs."""
    commands = importlib.import_module("rtcli.cli.commands")
    for module in pkgutil.walk_packages(commands.__path__, f"{commands.__name__}."):
        importlib.import_module(module.name)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Read a request, and the descriptors that are to be its stdin, stdout and stderr."""
    data, descriptors, _, _ = socket.recv_fds(connection, 65_536, 3)
    while len(data) < LENGTH.size or len(data) < LENGTH.size + LENGTH.unpack_from(data)[0]:
        data += connection.recv(65_536)
    return json.loads(data[LENGTH.size :]), descriptors


def serve(listener: socket.socket) -> None:
    """Fork for each request, and tell its pid and then how it ended."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    running: dict[int, socket.socket] = {}
    selector = selectors.DefaultSelector()
    for source in (listener.fileno(), woken, 0):
        selector.register(source, selectors.EVENT_READ)
    while True:
        ready = {key.fd for key, _ in selector.select()}
        if 0 in ready:
            return
        if woken in ready:
            os.read(woken, 4096)
            reap(running)
        if listener.fileno() in ready:
            connection, _ = listener.accept()
            request, descriptors = receive(connection)
            pid = os.fork()
            if pid == 0:
                run(request, descriptors)
            running[pid] = connection
            for descriptor in descriptors:
                os.close(descriptor)
            connection.sendall(LENGTH.pack(pid))


def reap(running: dict[int, socket.socket]) -> None:
    """Tell how each child that has ended did."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with running.pop(pid) as connection:
            connection.sendall(struct.pack("!i", os.waitstatus_to_exitcode(status)))


def run(request: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Become the command, and end as it does."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, max(descriptors) + 1)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    time.tzset()
    random.seed()
    sys.argv = request["arguments"]
    code = 1
    try:
        code = int(importlib.import_module("rtcli.cli.app").main() or 0)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    os._exit(finish(code))


def finish(code: int) -> int:
    """What an interpreter does at its end: wait for threads, call what was registered, flush."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = 120
    return code


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    preload()
    serve(socket.socket(fileno=int(sys.argv[1])))
