"""How long programs take to start: ``python -m benchmarks.startup``."""

import subprocess
import sys
import time

from benchmarks.cases import READY, VERSION
from benchmarks.client.jobs import Result
from benchmarks.harness import Running
from benchmarks.install import binary
from benchmarks.program import Case, Options, finish, options, run_cases, say
from benchmarks.results import Row
from benchmarks.system import SERVER_CORE, pinned

SERVERS = ("naive", "Socket.IO", "ws", "Nchan", "Bun", "rtcli")
RUNS_A_ROUND = 5
PROGRAMS = {
    "rtcli": (sys.executable, "-m", "rtcli", "--version"),
    "Python itself": (sys.executable, "-c", ""),
    "k6": (str(binary("k6")), "version"),
    "Locust": (str(binary("locust")), "--version"),
    "Artillery": (str(binary("artillery")), "--version"),
}


def ready(server: Running, chosen: Options) -> Result:
    """What `running` measured on the way."""
    del chosen
    return Result(ready_s=server.ready_after_s)


def timed(argv: tuple[str, ...]) -> Result:
    """Run a program to its end."""
    started = time.perf_counter()
    with pinned(SERVER_CORE):
        subprocess.run(argv, capture_output=True, check=True, timeout=60)
    return Result(ready_s=time.perf_counter() - started)


def version_rows(chosen: Options) -> list[Row]:
    """`--version` of each program, interleaved; those that are not installed are left out."""
    found: dict[str, list[Result]] = {}
    for _ in range(chosen.rounds * RUNS_A_ROUND):
        for name, argv in PROGRAMS.items():
            try:
                found.setdefault(name, []).append(timed(argv))
            except (OSError, subprocess.CalledProcessError) as error:
                say(f"-- left out: {name}: {error}")
    return [Row(VERSION, name, results) for name, results in found.items() if results]


def main() -> None:
    """Measure, write the results, print ratios and figures."""
    chosen = options("time to start")
    rows = version_rows(chosen)
    servers, failed = run_cases([Case(READY, SERVERS, ready)], chosen)
    finish("startup", [*rows, *servers], failed, chosen, {"ready": "polled every 2 ms over HTTP"})


if __name__ == "__main__":
    main()
