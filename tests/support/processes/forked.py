"""Commands in forks of one process that has imported `rtcli` (`fork_server.py`)."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support import measurement
from tests.support.processes.fork_server import LENGTH
from tests.support.processes.lifetime import DIES_WITH_US

SERVER = Path(__file__).with_name("fork_server.py")
ENDS_WITHIN_S = 10.0


class ForkServer:
    """The process that forks, as its tests know it."""

    def __init__(self) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("")  # unix(7), "Autobind feature": paths of temporary directories are too long
            self._address = listener.getsockname()
            listener.listen(128)
            self._process = subprocess.Popen(
                [*DIES_WITH_US, sys.executable, SERVER, str(listener.fileno())],
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,
                env={**os.environ, **measurement.VARIABLES},
            )

    def close(self) -> None:
        """End it; no command of it runs any more."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(ENDS_WITHIN_S)

    def run(
        self,
        arguments: Sequence[str],
        *,
        stdin: bytes,
        environment: Mapping[str, str],
        directory: Path,
        timeout_s: float,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end, like `subprocess.run` with pipes. Raises TimeoutExpired."""
        request = json.dumps(
            {"arguments": arguments, "environment": dict(environment), "directory": str(directory)}
        ).encode()
        pipes = [os.pipe(), os.pipe(), os.pipe()]
        theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        ours = [pipes[0][1], pipes[1][0], pipes[2][0]]
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(self._address)
                socket.send_fds(connection, [LENGTH.pack(len(request))], theirs)
                connection.sendall(request)
            finally:
                for descriptor in theirs:
                    os.close(descriptor)
            (pid,) = LENGTH.unpack(_exactly(connection))
            try:
                out, err = _communicate(ours, stdin, deadline=time.monotonic() + timeout_s)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(arguments), timeout_s) from None
            code = int.from_bytes(_exactly(connection), "big", signed=True)
        return subprocess.CompletedProcess(list(arguments), code, out, err)


def _exactly(connection: socket.socket) -> bytes:
    data = connection.recv(LENGTH.size, socket.MSG_WAITALL)
    assert len(data) == LENGTH.size, "the process that forks has ended"
    return data


def _communicate(descriptors: Sequence[int], stdin: bytes, *, deadline: float) -> tuple[bytes, bytes]:
    """Write to the first pipe and read from the others until they are closed. Raises TimeoutError."""
    to, *sources = descriptors
    read = dict.fromkeys(sources, b"")
    left = memoryview(stdin)
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_WRITE if descriptor == to else selectors.EVENT_READ)
        try:
            while any(key.fd != to for key in selector.get_map().values()):
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise TimeoutError
                for key, _ in ready:
                    if key.fd == to:
                        left = _write(to, left)
                        done = not left
                    else:
                        data = os.read(key.fd, 65_536)
                        read[key.fd] += data
                        done = not data
                    if done:
                        selector.unregister(key.fd)
                        os.close(key.fd)
        finally:
            for key in list(selector.get_map().values()):
                os.close(key.fd)
    return read[sources[0]], read[sources[1]]


def _write(descriptor: int, data: memoryview) -> memoryview:
    try:
        return data[os.write(descriptor, data) :]
    except BrokenPipeError:  # it reads no more
        return data[:0]


_server: ForkServer | None = None


def fork_server() -> ForkServer:
    """The one of this session."""
    global _server  # noqa: PLW0603 - it is for the whole session, wherever it is first needed
    if _server is None:
        _server = ForkServer()
    return _server


def close() -> None:
    """End the one of this session, if there is one."""
    global _server  # noqa: PLW0603 - see above
    if _server is not None:
        _server.close()
        _server = None
