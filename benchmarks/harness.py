"""Starts a server under test on one core and the load client on the other."""

import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from benchmarks.client.jobs import Job, Result, Target
from benchmarks.peers import ROOT, Peer
from benchmarks.system import CLIENT_CORE, SERVER_CORE, pinned, tree_of

os.environ.setdefault("BENCH_SECRET", secrets.token_hex(32))
START_S = 20.0
JOB_S = 180.0


class MeasurementError(Exception):
    """A server did not come up, or the load client failed; the text says what it printed."""


@dataclass(frozen=True)
class Running:
    """A server that answers: where it listens, its root process, and the seconds until it did.

    `others`: its further instances.
    """

    peer: Peer
    port: int
    pid: int
    ready_after_s: float
    others: tuple["Running", ...] = ()

    def target(self) -> Target:
        """What the load client needs to know of it."""
        everyone = (self, *self.others)
        return Target(
            self.port,
            self.peer.dialect,
            [pid for one in everyone for pid in tree_of(one.pid)],
            os.environ["BENCH_SECRET"],
            more_ports=[one.port for one in self.others],
            store_pids=[int(pid) for pid in os.environ.get("BENCH_STORE_PID", "").split()],
        )


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int, path: str) -> bool:
    """Whether the server answers `path` with a status below 400."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_ready(process: subprocess.Popen[bytes], peer: Peer, port: int, log: Path) -> float:
    """Poll until the server answers; the seconds that took. `MeasurementError` when it does not."""
    started = time.perf_counter()
    while process.poll() is None and time.perf_counter() - started < START_S:
        if answers(port, peer.ready):
            return time.perf_counter() - started
        time.sleep(0.002)
    raise MeasurementError(f"{peer.name} did not come up: {log.read_text(errors='replace')[-2000:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server that we started: SIGTERM, after five seconds SIGKILL to its own process group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


@contextmanager
def running(peer: Peer) -> Iterator[Running]:
    """Start all instances of `peer`; end them with the block."""
    with ExitStack() as stack:
        first, *others = [stack.enter_context(running_one(peer)) for _ in range(peer.instances)]
        yield replace(first, others=tuple(others))


@contextmanager
def running_one(peer: Peer) -> Iterator[Running]:
    """Start `peer` pinned to the server's core, in a directory of its own; end it with the block."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, port = Path(name), free_port()
        log = folder / "output.log"
        env = {**os.environ, **peer.env, "BENCH_MODULES": str(ROOT / "benchmarks/.cache/node/node_modules")}
        with log.open("wb") as output, pinned(SERVER_CORE):
            process = subprocess.Popen(
                peer.command(port, folder),
                cwd=ROOT,
                env=env,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield Running(peer, port, process.pid, wait_until_ready(process, peer, port, log))
        finally:
            stop(process)


def measure(job: Job) -> Result:
    """Let a fresh load client on its own core do `job`."""
    with pinned(CLIENT_CORE):
        client = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.client"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    try:
        output, errors = client.communicate(msgspec.json.encode(job), timeout=JOB_S)
    except subprocess.TimeoutExpired as error:
        client.kill()
        client.communicate()
        raise MeasurementError(f"the load client was not done after {JOB_S:.0f} s") from error
    if client.returncode:
        raise MeasurementError(errors.decode(errors="replace")[-2000:])
    return msgspec.json.decode(output, type=Result)


@contextmanager
def redis() -> Iterator[None]:
    """A Redis server for the block, on the client's core; ``BENCH_REDIS`` is its port."""
    program = shutil.which("redis-server")
    if program is None:
        yield
        return
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        options = [
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--dir",
            folder,
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        with pinned(CLIENT_CORE):
            process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, start_new_session=True)
        os.environ["BENCH_REDIS"] = str(port)
        os.environ["BENCH_STORE_PID"] = str(process.pid)
        try:
            yield
        finally:
            del os.environ["BENCH_STORE_PID"]
            stop(process)
