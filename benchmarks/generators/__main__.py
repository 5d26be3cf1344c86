"""How much of a stream each generator can receive on one core: ``python -m benchmarks.generators``."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import psutil

from benchmarks.cases import RECEIVING
from benchmarks.client.dialects import token_for
from benchmarks.client.jobs import Result, Source
from benchmarks.generators.tools import TOOLS, Task, Tool, available
from benchmarks.harness import MeasurementError, Running, running, stop
from benchmarks.peers import PEERS, ROOT
from benchmarks.program import Options, brief, finish, options, say
from benchmarks.results import Row
from benchmarks.system import CLIENT_CORE, SERVER_CORE, cpu_seconds, pinned, resident_bytes, tree_of

USERS, FEW = 1_000, 10
CALM_RATE = 10.0  # messages a second for each user, which every generator takes: memory is compared there
CONNECT_S = 14.0
LEAD_S = 1.0
CLIMBS = 9
FINEST = 1.2
METHOD = {
    "server": "rtcli, memory log, its own core; the publisher is beside it",
    "generators": "one core; the offered rate is doubled until less than 90 % of it is received",
    "memory": "of 1 000 users at 10 messages a second each, less that of 10 users",
    "message text": "100 characters",
}


def joined(server: Running) -> int:
    """How many connections the server has."""
    found = psutil.Process(server.pid).net_connections(kind="tcp")
    return sum(one.status == psutil.CONN_ESTABLISHED for one in found)


def start(server: Running, tool: Tool, task: Task) -> list[subprocess.Popen[bytes]]:
    """The generator on the client's core, and a publisher on the server's unless it publishes itself."""
    with (task.folder / "output.log").open("wb") as log, pinned(CLIENT_CORE):
        generator = subprocess.Popen(
            tool.command(task), cwd=task.folder, env=task.env(),
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    if tool.publishes:
        return [generator]
    seconds = (task.end_ms - task.start_ms) / 1000
    job = Source(server.target(), task.rate, task.start_ms / 1000 - LEAD_S, seconds + LEAD_S)
    with pinned(SERVER_CORE):
        source = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.client"], cwd=ROOT, stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    if source.stdin is not None:
        source.stdin.write(msgspec.json.encode(job))
        source.stdin.close()
    return [generator, source]


def receive(server: Running, tool: Tool, users: int, rate: float, seconds: float) -> Result:
    """Let `tool` receive `rate` messages a second with each of `users`."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        start_ms = int((time.time() + CONNECT_S) * 1000)
        token = token_for(os.environ["BENCH_SECRET"], 2, time.time())
        task = Task(server.port, token, users, rate, start_ms, start_ms + int(seconds * 1000), Path(name))
        processes = start(server, tool, task)
        try:
            time.sleep(max(0.0, start_ms / 1000 - time.time()))
            if joined(server) < users + 1:
                raise MeasurementError(
                    f"{tool.name}: {joined(server) - 1} of {users} connected in {CONNECT_S} s"
                )
            pids = tree_of(processes[0].pid)
            before = cpu_seconds(pids)
            time.sleep(max(0.0, task.end_ms / 1000 - time.time()))
            share, memory = (cpu_seconds(pids) - before) / seconds, resident_bytes(pids)
            processes[0].wait(30)
            counted = tool.read(task)
        except (subprocess.TimeoutExpired, psutil.NoSuchProcess) as error:
            log = (task.folder / "output.log").read_text(errors="replace")
            raise MeasurementError(f"{tool.name}: {error}; {log[-500:]}") from error
        finally:
            for process in processes:
                stop(process)
    per_second, expected = counted.received / seconds, int(rate * users * seconds)
    return Result(
        per_second=per_second, client_share=share, p50=counted.p50, p99=counted.p99,
        delivered=counted.received, expected=expected, grown_bytes=memory,
    )  # fmt: skip


def climb(server: Running, tool: Tool, seconds: float) -> Result:
    """Double the offered rate until less than 90 % arrives; the best figure, with the memory of one user.

    The memory is that of a calm crowd less that of a few users: beyond its limit, a generator piles up what
    it cannot take. A tool that counts only while it keeps up gets smaller steps at the end.
    """
    few = receive(server, tool, FEW, CALM_RATE, seconds)
    many = receive(server, tool, USERS, CALM_RATE, seconds)
    rate, step, best = float(tool.start_rate), 2.0, Result()
    for _ in range(CLIMBS):
        result = receive(server, tool, USERS, rate, seconds)
        say(f"         {tool.name:24} offered {rate * USERS:10,.0f}/s  {brief(result)}")
        if (result.per_second or 0) > (best.per_second or 0):
            best = result
        if (result.delivered or 0) >= 0.9 * (result.expected or 0):
            rate *= step
        elif tool.publishes and step > FINEST:
            rate, step = rate / step * step**0.5, step**0.5
        else:
            break
    each = ((many.grown_bytes or 0) - (few.grown_bytes or 0)) / (USERS - FEW)
    return msgspec.structs.replace(best, bytes_per_connection=each, delivered=None, expected=None)


def measure_all(chosen: Options) -> tuple[list[Row], list[str]]:
    """Every generator in turn, round after round, each against a fresh server."""
    tools = [tool for tool in available(list(TOOLS)) if not chosen.only or tool.name in chosen.only]
    found: dict[str, list[Result]] = {}
    failed: list[str] = []
    for number in range(chosen.rounds):
        for tool in tools:
            try:
                with running(PEERS["rtcli"]) as server:
                    found.setdefault(tool.name, []).append(climb(server, tool, chosen.seconds))
            except MeasurementError as error:
                failed.append(f"{tool.name}: {error}")
                say(f"-- failed: {failed[-1]}")
                continue
            say(f"round {number + 1}  {tool.name:24} {brief(found[tool.name][-1])}")
    return [Row(RECEIVING, name, rounds) for name, rounds in found.items()], failed


def main() -> None:
    """Measure, write the results, print ratios and figures."""
    chosen = options("load generators receiving the same stream", seconds=5.0)
    rows, failed = measure_all(chosen)
    finish("generators", rows, failed, chosen, METHOD)


if __name__ == "__main__":
    main()
