"""`rtcli serve` as a process that can be killed and started again on its port."""

from __future__ import annotations

import asyncio
import http.client
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.support import unexpected_logs
from tests.support.ports import free_port
from tests.support.processes.lifetime import DIES_WITH_US
from tests.support.processes.rtcli import RTCLI, environment

SECRET = "a secret of the fault tests, long enough for HS256"
LOOPBACK = "127.0.0.1"
START_DEADLINE_S = 30.0
PAUSE_S = 0.02


class ServerProcess:
    """`rtcli serve` on one port for all its lives; what it says goes to one log file.

    It takes tokens that are signed with `SECRET`, and limits no rate. `settings`: others of them, by name.
    With `development`, it is as people start it who only try it: with the key that it makes in their home.
    """

    def __init__(
        self,
        home: Path,
        store: str = "memory:",
        *options: str,
        settings: Mapping[str, object] | None = None,
        development: bool = False,
        prefix: tuple[str, ...] = (),
        host: str = LOOPBACK,
    ) -> None:
        self.home = home
        self.host = host
        self.port = free_port()
        self.log = home / "server.log"
        self._tls = "--tls-cert" in options
        self.url = f"http{'s' * self._tls}://{host}:{self.port}"
        self._command = [*DIES_WITH_US, *prefix, RTCLI, "serve", "--host", host, "--port", str(self.port)]
        self._command += ["--store", store]
        if not development:
            (home / "secret").write_text(SECRET)
            (home / "secret").chmod(0o600)
            self._command += ["--secret-file", str(home / "secret"), "--rate-limit", "off"]
        self._command += options
        self._settings = {f"RTCLI_SERVER_{name.upper()}": f"{it}" for name, it in (settings or {}).items()}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it and wait until it is ready; the loop turns meanwhile."""
        deadline = self._launch()
        while not await asyncio.to_thread(self._is_ready, deadline):  # noqa: ASYNC110 - it has to be asked
            await asyncio.sleep(PAUSE_S)

    def start_now(self) -> None:
        """Start it and wait until it is ready."""
        deadline = self._launch()
        while not self._is_ready(deadline):
            time.sleep(PAUSE_S)

    def stop(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; return the exit code."""
        self.signal(number)
        return self.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        assert self._process is not None
        code = self._process.wait(timeout=30)
        self._process = None
        return code

    def kill(self) -> None:
        """Kill it if it still runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=30)
            self._process = None

    def _launch(self) -> float:
        unexpected_logs.watch(self.log)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.home,
                env=environment(self.home, **self._settings),
                stdout=log,
                stderr=log,
            )
        return time.monotonic() + START_DEADLINE_S

    def _is_ready(self, deadline: float) -> bool:
        """Whether `/readyz` says so; fails when it has ended, or at the deadline."""
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        assert time.monotonic() < deadline, f"not ready within {START_DEADLINE_S} s: {self.log.read_text()}"
        try:
            connection = self._connect()
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == http.client.OK
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            return False

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls:
            anyone = ssl._create_unverified_context()  # noqa: S323 - it is ours
            return http.client.HTTPSConnection(self.host, self.port, timeout=5, context=anyone)
        return http.client.HTTPConnection(self.host, self.port, timeout=5)


Instances = Callable[..., AbstractAsyncContextManager[list[ServerProcess]]]
