"""deploy/nginx.conf under a real nginx: the file itself, with this machine's ports and paths put in."""

from __future__ import annotations

import getpass
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.processes.lifetime import DIES_WITH_US

FILE = ROOT / "deploy" / "nginx.conf"
START_S = 15.0


def directive(name: str) -> str:
    """The value of a directive that stands in the file once."""
    (found,) = re.findall(rf"^\s*{name}\s+([^;]+);", FILE.read_text(), re.MULTILINE)
    return str(found)


def adapt(directory: Path, port: int, instances: Sequence[int], changes: Mapping[str, str]) -> str:
    """Put ports, paths and `changes` into the file; each of them must stand in it."""
    temporary = " ".join(
        f"{kind}_temp_path {directory / kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    replaced = {
        "listen 80;": f"listen 127.0.0.1:{port};",
        "rtcli-1:8000": f"127.0.0.1:{instances[0]}",
        "rtcli-2:8000": f"127.0.0.1:{instances[-1]}",
        "/dev/stderr": str(directory / "error.log"),
        "/dev/stdout": str(directory / "access.log"),
        "http {": f"http {{ {temporary}",
    }
    text = FILE.read_text()
    for old, new in (*changes.items(), *replaced.items()):
        assert old in text, old
        text = text.replace(old, new)
    return text


def nginx_command(directory: Path, log: str) -> list[str]:
    """The command that runs nginx with the `nginx.conf` of a directory, for as long as the tests run.

    `log`: the file there for what it logs before it has read its configuration.
    """
    files = ("-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", str(directory / log))
    return [*DIES_WITH_US, "nginx", *files]


class Nginx:
    """One nginx that runs."""

    def __init__(self, directory: Path, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._directory = directory

    @property
    def logs(self) -> str:
        """Everything that it has logged."""
        return "".join(file.read_text() for file in self._directory.glob("*.log"))


@contextmanager
def nginx(
    directory: Path, instances: Sequence[int], changes: Mapping[str, str] | None = None
) -> Iterator[Nginx]:
    """Run it in front of the instances on these ports."""
    directory.mkdir()
    port = free_port()
    (directory / "nginx.conf").write_text(adapt(directory, port, instances, changes or {}))
    globals_ = f"daemon off; pid {directory / 'nginx.pid'}; user {getpass.getuser()};"
    process = subprocess.Popen([*nginx_command(directory, "start.log"), "-g", globals_])
    try:
        running = Nginx(directory, port)
        _wait_for(process, running)
        yield running
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(process: subprocess.Popen[bytes], running: Nginx) -> None:
    deadline = time.monotonic() + START_S
    while True:
        assert process.poll() is None, running.logs
        assert time.monotonic() < deadline, "nginx does not listen"
        try:
            socket.create_connection(("127.0.0.1", running.port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
