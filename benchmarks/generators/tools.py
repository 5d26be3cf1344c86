"""How each generator is started, and where it leaves what it counted."""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generators.workloads import Workload
from benchmarks.install import binary
from benchmarks.stats import middle, percentile

HERE = Path(__file__).parent
START_S = 2.0
"""What our own load tester takes until its ramp begins, and its phase between the ramp and the window."""
EDGE_S = 1.0
"""How much earlier and later than the window our own load tester sends, since it keeps its own time."""
KEEPS_UP_S = 0.5


@dataclass(frozen=True)
class Task:
    """What a generator is to do: `users` join their rooms, and count what arrives in the window (unix ms).

    `rate` messages a second come into each room.
    """

    workload: Workload
    port: int
    token: str
    users: int
    rate: float
    start_ms: int
    end_ms: int
    folder: Path

    @property
    def result(self) -> Path:
        """Where the generator's script writes what it counted."""
        return self.folder / "result.json"

    @property
    def rooms(self) -> int:
        """How many rooms the users are spread over."""
        return max(1, self.users // self.workload.room_size)

    @property
    def each(self) -> float:
        """Messages a second that each user sends where everybody talks; else 0."""
        return self.rate / self.workload.room_size if self.workload.everybody_talks else 0.0

    def env(self) -> dict[str, str]:
        """The same for the scripts of all generators."""
        scheme = "http" if self.workload.streams else "ws"
        return {
            **os.environ,
            "URL": f"{scheme}://127.0.0.1:{self.port}{self.workload.path}",
            "ROOMS": str(self.rooms),
            "SEND_EVERY_MS": f"{1000 / self.each:g}" if self.each else "0",
            "TOKEN": self.token,
            "USERS": str(self.users),
            "WINDOW_START": str(self.start_ms),
            "WINDOW_END": str(self.end_ms),
            "RESULT_FILE": str(self.result),
        }


@dataclass(frozen=True)
class Counted:
    """What a generator counted in the window; latencies in seconds, as it would report them."""

    received: int
    p50: float | None
    p99: float | None


@dataclass(frozen=True)
class Tool:
    """One generator. One that `publishes` sends the stream itself: it audits what it sent.

    `connect_s`: what its users need, from its start, until all are connected.
    """

    name: str
    needs: Path
    command: Callable[[Task], list[str]]
    read: Callable[[Task], Counted]
    publishes: bool = False
    connect_s: float = 8.0


def k6(task: Task) -> list[str]:
    """One virtual user per socket. Fifty sockets in each of twenty users were no faster, nor smaller."""
    del task
    return [str(binary("k6")), "run", "--quiet", "--no-usage-report", str(HERE / "k6.js")]


def locust(task: Task) -> list[str]:
    """Headless; 250 users a second are started."""
    where = ["-f", str(HERE / "locustfile.py"), "--headless", "--only-summary", "--host", "http://127.0.0.1"]
    seconds = max(1, round(task.end_ms / 1000 - task.start_ms / 1000)) + 16
    return [str(binary("locust")), *where, "-u", str(task.users), "-r", "250", "-t", f"{seconds}s", "-s", "0"]


def artillery(task: Task) -> list[str]:
    """All users arrive within five seconds."""
    phases = {"config": {"phases": [{"duration": 5, "arrivalCount": task.users}]}}
    script = str(HERE / "artillery.yml")
    return [str(binary("artillery")), "run", "--quiet", "--overrides", json.dumps(phases), script]


def loadtest(task: Task) -> list[str]:
    """Our own load tester, with its audit on. Where not everybody talks, one more user publishes."""
    window_s = (task.end_ms - task.start_ms) / 1000
    text = (HERE / task.workload.scenario).read_text()
    values = {
        "USERS": task.users,
        "ROOMS": task.rooms,
        "RATE": f"{task.rate:g}",
        "EACH": f"{task.each:g}",
        "PATH": f"{task.workload.path}?token={task.token}",
        "RAMP": round(task.start_ms / 1000 - time.time() - START_S - EDGE_S),
        "WINDOW": f"{window_s + 2 * EDGE_S:g}",
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    (task.folder / "scenario.yaml").write_text(text)
    token = task.folder / "token"
    token.write_text(task.token)
    token.chmod(0o600)
    where = ["--url", f"http://127.0.0.1:{task.port}", "--token-file", str(token), "--out", str(task.folder)]
    return [sys.executable, "-m", "rtcli", "loadtest", "scenario.yaml", *where, "--no-progress"]


def read_loadtest(task: Task) -> Counted:
    """The seconds of the window, but for the first and the last; nothing when the audit found anything.

    Its seconds are those in which messages were due, not those in which they came: a rate counts only while
    it keeps up.
    """
    summary = json.loads((task.folder / "summary.json").read_text())
    audit = summary["audit"]
    seconds = [row for row in summary["timeline"] if row["phase"] == "window"][1:-1]
    if not seconds or any(audit["counts"][verdict] for verdict in audit["failing"]):
        return Counted(0, None, None)
    rate = sum(row["received"] for row in seconds) / len(seconds)
    p50, p99 = (middle([row[name] or 0.0 for row in seconds]) for name in ("fanout_p50", "fanout_p99"))
    if p99 > KEEPS_UP_S:
        return Counted(0, p50, p99)
    return Counted(int(rate * (task.end_ms - task.start_ms) / 1000), p50, p99)


def read_summary(task: Task) -> Counted:
    """What k6's and Locust's scripts write; no file means that nothing was counted."""
    if not task.result.is_file():
        return Counted(0, None, None)
    found = json.loads(task.result.read_text())
    p50, p99 = (None if found[name] is None else found[name] / 1000 for name in ("p50_ms", "p99_ms"))
    return Counted(int(found["received"]), p50, p99)


def read_latencies(task: Task) -> Counted:
    """What Artillery's workers write: a file of latencies (ms) each."""
    files = task.folder.glob(task.result.name + ".*")
    ordered = sorted(latency / 1000 for file in files for latency in json.loads(file.read_text()))
    if not ordered:
        return Counted(0, None, None)
    return Counted(len(ordered), percentile(ordered, 0.5), percentile(ordered, 0.99))


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("Artillery", binary("artillery"), artillery, read_latencies, connect_s=14.0),
        Tool("Locust", binary("locust"), locust, read_summary),
        Tool("k6", binary("k6"), k6, read_summary),
        Tool("rtcli loadtest", Path(sys.executable), loadtest, read_loadtest, publishes=True),
    )
}


def available(names: list[str]) -> list[Tool]:
    """Those of `names` that are installed; the others are named on stderr."""
    found = []
    for name in names:
        if TOOLS[name].needs.exists():
            found.append(TOOLS[name])
        else:
            print(f"-- left out: {name} is not installed (scripts/bench installs it)", file=sys.stderr)
    return found
