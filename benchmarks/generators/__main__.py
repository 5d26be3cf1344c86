"""How much each generator can receive on one core, by workload: ``python -m benchmarks.generators``."""

import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import psutil

from benchmarks.client.dialects import token_for
from benchmarks.client.jobs import Result, Source
from benchmarks.generators.tools import TOOLS, Task, Tool, available
from benchmarks.generators.workloads import USERS, WORKLOADS, Workload
from benchmarks.harness import MeasurementError, Running, running, stop
from benchmarks.peers import PEERS, ROOT
from benchmarks.program import Options, brief, finish, options, say
from benchmarks.results import Row
from benchmarks.system import CLIENT_CORE, SERVER_CORE, cpu_seconds, pinned, resident_bytes, tree_of

FEW = 10
CALM_RATE = 10.0  # messages a second for each user, which every generator takes: memory is compared there
LEAD_S = 1.0
CLIMBS = 9
FINEST = 1.2
METHOD = {
    "server": "rtcli, memory log, its own core, and the publisher beside it",
    "frames made for their receiver": "a server of a few lines that numbers what it sends on each connection",
    "generators": "one core; the offered rate is doubled until less than 90 % of it is received",
    "memory": "of 1 000 users at 10 messages a second each, less that of 10 users",
    "latency": "the generator's own, at half of what it received at most",
    "message text": "100 characters",
}


def joined(server: Running) -> int:
    """How many connections the server has."""
    found = psutil.Process(server.pid).net_connections(kind="tcp")
    return sum(one.status == psutil.CONN_ESTABLISHED for one in found)


def start(server: Running, tool: Tool, task: Task) -> list[subprocess.Popen[bytes]]:
    """The generator on the client's core; a publisher on the server's, unless the users publish."""
    with (task.folder / "output.log").open("wb") as log, pinned(CLIENT_CORE):
        generator = subprocess.Popen(
            tool.command(task), cwd=task.folder, env=task.env(),
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    if tool.publishes or task.workload.everybody_talks:
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


def receive(
    server: Running, tool: Tool, workload: Workload, users: int, rate: float, *, seconds: float
) -> Result:
    """Let `tool` receive `rate` messages a second with each of `users`."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        start_ms = int((time.time() + tool.connect_s) * 1000)
        token = token_for(os.environ["BENCH_SECRET"], 2, time.time())
        end_ms = start_ms + int(seconds * 1000)
        task = Task(workload, server.port, token, users, rate, start_ms, end_ms, Path(name))
        processes = start(server, tool, task)
        try:
            time.sleep(max(0.0, start_ms / 1000 - time.time()))
            there = joined(server) - (0 if workload.everybody_talks else 1)
            if there < users:
                raise MeasurementError(f"{tool.name}: {there} of {users} connected in {tool.connect_s:g} s")
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


def next_rate(taken: float, refused: float, *, refine: bool) -> float | None:
    """Return the rate to offer next, or None when the limit is known well enough.

    `taken`: the highest rate of which enough was received, 0 before any; `refused`: the lowest other one.

    >>> next_rate(400, math.inf, refine=True), next_rate(400, 800, refine=False)
    (800, None)
    >>> next_rate(400, 900, refine=True), next_rate(0, 400, refine=True), next_rate(800, 900, refine=True)
    (600.0, 200.0, None)
    """
    if refused == math.inf:
        return taken * 2
    if not refine:
        return None
    if not taken:
        return refused / 2
    return math.sqrt(taken * refused) if refused / taken > FINEST else None


def climb(server: Running, tool: Tool, workload: Workload, seconds: float) -> Result:
    """Double the offered rate until less than 90 % arrives; the best figure.

    The limit of a tool that counts only while it keeps up is then looked for between the last two rates.
    """
    rate: float | None = float(workload.start_rates[tool.name])
    taken, refused, best = 0.0, math.inf, Result()
    for _ in range(CLIMBS):
        if rate is None:
            break
        result = receive(server, tool, workload, USERS, rate, seconds=seconds)
        say(f"         {tool.name:24} offered {rate * USERS:10,.0f}/s  {brief(result)}")
        if (result.per_second or 0) > (best.per_second or 0):
            best = result
        if (result.delivered or 0) >= 0.9 * (result.expected or 0):
            taken = max(taken, rate)
        else:
            refused = min(refused, rate)
        rate = next_rate(taken, refused, refine=tool.publishes)
    return best


def examine(server: Running, tool: Tool, workload: Workload, seconds: float) -> Result:
    """What `tool` receives at most, its latency at half of that, and the memory of one user.

    The memory is that of a calm crowd less that of a few users: beyond its limit, a generator piles up what
    it cannot take.
    """
    few = receive(server, tool, workload, FEW, CALM_RATE, seconds=seconds)
    many = receive(server, tool, workload, USERS, CALM_RATE, seconds=seconds)
    best = climb(server, tool, workload, seconds)
    half = receive(server, tool, workload, USERS, (best.per_second or 0) / USERS / 2, seconds=seconds)
    each = ((many.grown_bytes or 0) - (few.grown_bytes or 0)) / (USERS - FEW)
    return Result(
        per_second=best.per_second, client_share=best.client_share, bytes_per_connection=each,
        p50=half.p50, p99=half.p99,
    )  # fmt: skip


def measure_all(chosen: Options) -> tuple[list[Row], list[str]]:
    """Every generator in turn, workload after workload, round after round, each against a fresh server."""
    tools = [tool for tool in available(list(TOOLS)) if not chosen.only or tool.name in chosen.only]
    found: dict[tuple[str, str], list[Result]] = {}
    failed: list[str] = []
    for number in range(chosen.rounds):
        for workload in WORKLOADS:
            for tool in (tool for tool in tools if tool.name in workload.start_rates):
                try:
                    with running(PEERS[workload.server]) as server:
                        result = examine(server, tool, workload, chosen.seconds)
                except MeasurementError as error:
                    failed.append(f"{workload.name}, {tool.name}: {error}")
                    say(f"-- failed: {failed[-1]}")
                    continue
                found.setdefault((workload.name, tool.name), []).append(result)
                say(f"round {number + 1}  {workload.name:56} {tool.name:16} {brief(result)}")
    return [Row(case, name, rounds) for (case, name), rounds in sorted(found.items(), key=order)], failed


def order(item: tuple[tuple[str, str], list[Result]]) -> tuple[int, int]:
    """The place of a row: by workload, then by tool."""
    case, name = item[0]
    return [workload.name for workload in WORKLOADS].index(case), list(TOOLS).index(name)


def main() -> None:
    """Measure, write the results, print ratios and figures."""
    chosen = options("load generators at the same work", seconds=5.0)
    rows, failed = measure_all(chosen)
    finish("generators", rows, failed, chosen, METHOD)


if __name__ == "__main__":
    main()
