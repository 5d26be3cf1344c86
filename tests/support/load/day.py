"""A run of a day in simulated time: `python -m tests.support.load.day EVERY`, which writes what came of it.

1 000 users in 100 rooms; what their worker would measure in a second is given to the coordinator's own state,
in every EVERYth second of 24 hours. Then the result and its files are made. What was given is added up beside
it, in the plainest way, to compare with.
"""

from __future__ import annotations

import json
import socket
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from rtcli.client.endpoint import parse_endpoint
from rtcli.load.core.context import Credentials, WorkerSpec
from rtcli.load.metrics.histogram import bucket_index
from rtcli.load.metrics.store import MetricStore
from rtcli.load.reporters import hlog
from rtcli.load.reporters.html import page
from rtcli.load.results import summary
from rtcli.load.results.model import RunResult
from rtcli.load.run.coordinator import Coordinator, RunState
from rtcli.load.run.health.processor_time import TakenTime
from rtcli.load.run.messages import Tick
from rtcli.load.run.progress import SilentProgress
from rtcli.load.run.result import make_result
from rtcli.load.scenario.loader import parse_scenario

DAY = 86_400
ROOMS = 100
USERS = 1_000
RECEIVERS = USERS // ROOMS
LIMIT_MS = 100
NOON = (43_200, 46_800)

SCENARIO = f"""
name: day
phases:
  - {{ name: morning, for: {NOON[0]}s }}
  - {{ name: noon, for: {NOON[1] - NOON[0]}s }}
  - {{ name: evening, for: {DAY - NOON[1]}s }}
data: {{ room: {{ gen: "room-{{1..{ROOMS}}}", pick: sequence }} }}
roles:
  talker:
    users: {USERS}
    flow: [connect, {{ join: "${{room}}" }}, {{ send: {{ room: "${{room}}", rate: 0.1/s }} }}]
thresholds:
  fanout_latency: ["p(99) < {LIMIT_MS}ms", "p(99.9) < 2s"]
""" + "".join(f'  "fanout_latency{{room:room-{number}}}": ["p(99) < 1s"]\n' for number in range(1, ROOMS + 1))


class Day:
    """The day, and what was measured in it, added up by itself."""

    def __init__(self) -> None:
        self.rng = Random(5)
        self.now = 0
        self.state = self._state()
        self.all: Counter[int] = Counter()
        self.good: Counter[int] = Counter()
        self.at_noon: Counter[int] = Counter()
        self.of_a_room: Counter[int] = Counter()
        self.flagged = 0

    def _state(self) -> RunState:
        scenario = parse_scenario(SCENARIO, "day.yaml")
        spec = WorkerSpec(
            scenario,
            parse_endpoint("http://127.0.0.1:1"),
            "127.0.0.1",
            socket.AF_INET,
            Credentials(),
            run=1,
            unix_start=1_700_000_000.0,
        )
        state = Coordinator(spec, SilentProgress()).state
        state.clock = lambda: self.now
        return state

    def live(self, every: int) -> None:
        """Live through the day."""
        store = MetricStore(self.state.store.bins)
        for second in range(0, DAY, every):
            self.now = (second + 1) * 1_000_000
            bad = second // every % 25 == 24  # the generator itself is late then
            self._measure(store, second, bad=bad)
            self.state.add_tick(0, self._tick(store, second))
        self.now = (DAY + 5) * 1_000_000
        self.state.ended = float(DAY)

    def _measure(self, store: MetricStore, second: int, *, bad: bool) -> None:
        bin_key, rng = store.bins.at(second + 0.5), self.rng
        self.flagged += bad
        latencies = [rng.lognormvariate(8, 0.6) + bad * 200_000 for _ in range(ROOMS * RECEIVERS)]
        indices = [bucket_index(int(latency)) for latency in latencies]
        self.all.update(indices)
        if not bad:
            self.good.update(indices)
        if NOON[0] <= second < NOON[1]:
            self.at_noon.update(indices)
        self.of_a_room.update(indices[:RECEIVERS])
        rest = iter(indices)
        for number in range(1, ROOMS + 1):
            tags = {"role": "talker", "room": f"room-{number}"}
            latency, service = (
                store.recorder(name, **tags).counts for name in ("fanout_latency", "fanout_service")
            )
            for index in islice(rest, RECEIVERS):
                latency[bin_key + index] += 1
                service[bin_key + index] += 1
            store.recorder("ws_msgs_received", **tags).add(bin_key, RECEIVERS)
        for _ in range(ROOMS):
            store.recorder("schedule_lag", role="talker").record(bin_key, rng.randint(0, 2_000))
            store.recorder("send_ack", role="talker").record(bin_key, rng.randint(500, 20_000))
            store.recorder("fanout_complete").record(bin_key, rng.randint(2_000, 60_000))
            store.recorder("loop_lag").record(bin_key, 300_000 if bad else rng.randint(0, 1_500))
        store.recorder("data_received", role="talker").add(bin_key, 300_000)

    def _tick(self, store: MetricStore, second: int) -> Tick:
        return Tick(
            store.drain(),
            USERS,
            USERS,
            0.4,
            100 << 20,
            (),
            TakenTime(0.0, 0.0),
            ((float(second), "talker 1", "here"),),
            {},
        )

    def report(self, result: RunResult) -> dict[str, Any]:
        """What came of the day, as numbers to compare."""
        store = self.state.store
        selected = {
            "all": (store, {}, self.all),
            "good": (store.within(0), {}, self.good),
            "noon": (store, {"phase": "noon"}, self.at_noon),
            "room": (store, {"room": "room-1"}, self.of_a_room),
        }
        wrong = []
        for name, (view, tags, wanted) in selected.items():
            histogram = view.trend("fanout_latency", tags)
            if histogram is None or histogram.counts != wanted:
                wrong.append(name)
        log = hlog.render(result.started, hlog.intervals(store, ("fanout_latency", "schedule_lag")))
        return {
            "wrong": wrong,
            "rows": len(result.timeline),
            "row_seconds": result.timeline[0].seconds,
            "received": sum(row.received for row in result.timeline),
            "deliveries": self.all.total(),
            "flagged": result.generator.flagged_seconds,
            "bad": self.flagged,
            "outcomes": sorted({it.outcome for it in result.thresholds}),
            "inconclusive": [it.text for it in result.thresholds if it.outcome == "inconclusive"],
            "summary_bytes": len(summary.encode(result)),
            "html_bytes": len(page.render(result).encode()),
            "log_bytes": len(log),
            "peak_rss": _peak_rss(),
        }


def _peak_rss() -> int:
    """The most memory of this process, in bytes; `ru_maxrss` begins with that of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    day = Day()
    day.live(int(sys.argv[1]))
    sys.stdout.write(json.dumps(day.report(make_result(day.state))))
