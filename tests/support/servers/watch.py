"""What must hold around every fault: health answered throughout, and the server then as it was before."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from tests.support.clients.peers import WsPeer, connect, token
from tests.support.processes.starvation import starved_s, stolen_s
from tests.support.servers.server_process import LOOPBACK, SECRET, ServerProcess
from tests.support.waiting import until

HEALTH_S = 1.0  # quality.md, section 2
PAUSE_S = 0.1
NOT_CLOSED = ("01", "08")  # ESTABLISHED, CLOSE_WAIT (include/net/tcp_states.h)


def descriptors(pid: int) -> int:
    """How many file descriptors a process has."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def connected(port: int) -> int:
    """How many connections to a port, accepted or not yet, have not been closed there (IPv4)."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] in NOT_CLOSED for row in rows)


def resident_bytes(pid: int) -> int:
    """How much memory a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4_096


class HealthWatch:
    """Asks `/healthz` ten times a second, in a thread of its own.

    On a new connection each time, or on one that it keeps: where the fault leaves none to be had.
    That this machine is busy with something else says nothing: the time for which the server (`task`: its
    process, or its thread in this one) and we waited for a processor is not counted, nor what other machines
    took from this one.
    """

    def __init__(self, port: int, *, task: int, host: str = LOOPBACK, keeps_connection: bool = False) -> None:
        self._task = task
        self._host = host
        self._port = port
        self._keeps_connection = keeps_connection
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seconds: list[float] = []
        self.failures: list[str] = []

    def _run(self) -> None:
        tasks = {self._task, os.getpid(), threading.get_native_id()}
        connection = http.client.HTTPConnection(self._host, self._port, timeout=30)
        if self._keeps_connection:
            connection.connect()
        while not self._stop.wait(PAUSE_S):
            started, starved, stolen = time.monotonic(), starved_s(*tasks), stolen_s()
            try:
                connection.request("GET", "/healthz")
                answer = connection.getresponse()
                answer.read()
                status = answer.status
                if status != http.client.OK:
                    self.failures.append(f"status {status}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
            if not self._keeps_connection:
                connection.close()  # the next request opens it again
            waited = starved_s(*tasks) - starved
            taken = max(after - before for before, after in zip(stolen, stolen_s(), strict=True))
            self.seconds.append(time.monotonic() - started - waited - taken)
        connection.close()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    async def stop(self) -> None:
        """End; fails when an answer was wrong, missing or late."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join)
        assert self.failures == []
        late = [round(seconds, 2) for seconds in self.seconds if seconds > HEALTH_S]
        assert not late, f"/healthz took {late} s"


async def metric(server: ServerProcess, name: str, **labels: str) -> float:
    """The sum of a metric over its labels, or where they have these values."""
    async with httpx.AsyncClient() as client:
        lines = (await client.get(f"{server.url}/metrics")).text.splitlines()
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    found = [
        line
        for line in lines
        if line.partition(" ")[0].partition("{")[0] == name and all(label in line for label in wanted)
    ]
    assert found, f"no metric {name}"
    return sum(float(line.rpartition(" ")[2]) for line in found)


async def until_metric(server: ServerProcess, name: str, wanted: float, *, timeout_s: float = 30.0) -> None:
    """Wait until a metric has that value."""
    deadline = time.monotonic() + timeout_s
    while (value := await metric(server, name)) != wanted:
        assert time.monotonic() < deadline, f"{name} is {value}, not {wanted}"
        await asyncio.sleep(0.05)


async def serves_a_good_client(server: ServerProcess) -> None:
    """Connect, join, say something, and hear it."""
    peer = await connect(server.port, WsPeer("good", ["good"]), host=server.host)
    await asyncio.wait_for(peer.ready, 30)
    peer.send("chat_message", f"{time.monotonic_ns()}", room="good", content="hello")  # never a repeat
    await until(
        lambda: bool(peer.of_type("ack") and peer.of_type("new_message")), why="a good client is not served"
    )
    peer.transport.close()
    await peer.lost


def log_is_clean(server: ServerProcess, *more: str) -> None:
    """No traceback, no secret, no token, and none of `more` in what the server wrote."""
    text = server.log.read_text()
    for word in ("Traceback", SECRET, token("x").partition(".")[0], *more):
        assert word not in text, text[-4_000:]


@contextlib.asynccontextmanager
async def watched(server: ServerProcess, *, keeps_connection: bool = False) -> AsyncIterator[HealthWatch]:
    """Everything that must hold while the block does its worst, and once it has let go of its sockets."""
    await serves_a_good_client(server)
    await until_metric(server, "rtcli_connections", 0)
    before = descriptors(server.pid)
    health = HealthWatch(server.port, task=server.pid, host=server.host, keeps_connection=keeps_connection)
    health.start()
    yield health
    await health.stop()
    await serves_a_good_client(server)
    await until_metric(server, "rtcli_connections", 0, timeout_s=60)
    await until(
        lambda: descriptors(server.pid) <= before + 1,
        why=f"{before} descriptors before, {descriptors(server.pid)} after",
    )
    log_is_clean(server)
