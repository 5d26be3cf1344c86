"""Performance targets, each decided by one figure or ratio of one table. Data alone."""

from dataclasses import dataclass

from benchmarks.cases import (
    ACKED,
    EIGHT,
    HALF,
    IDLE_5000,
    IDLE_10000,
    NORMAL,
    ONE_FROZEN,
    READY,
    RECEIVING,
    ROOMS,
    STREAMS,
    VERSION,
)


@dataclass(frozen=True)
class PerformanceTarget:
    """A figure to reach: what is acceptable, and the goal. A goal above the acceptable: more is better.

    `theirs` names the other subject of a ratio; without it the value itself counts, times `scale`. With
    `base`, the ratio is to our own figure in that case.
    """

    text: str
    table: str
    case: str
    quantity: str
    acceptable: float
    goal: float
    theirs: str = ""
    ours: str = "rtcli"
    base: str = ""
    scale: float = 1.0
    unit: str = "×"


def faster(text: str, case: str, theirs: str, acceptable: float, goal: float) -> PerformanceTarget:
    """Deliveries per second in `case` against `theirs`."""
    return PerformanceTarget(
        f"deliveries/s, {text}, against {theirs}", "fanout", case, "per_second", acceptable, goal, theirs
    )


def cheaper(case: str) -> PerformanceTarget:
    """Server CPU per delivery in `case` against Bun."""
    text = f"server CPU per delivery, {case}, against Bun"
    return PerformanceTarget(text, "fanout", case, "server_cpu_per_million", 1.3, 0.8, "Bun")


def stored(store: str, acceptable: float, goal: float) -> PerformanceTarget:
    """Publishes acknowledged per second with `store`, in thousands."""
    text = f"publishes/s acknowledged, {store}"
    return PerformanceTarget(
        text, "publishes", ACKED, "per_second", acceptable, goal, ours=f"rtcli {store}", scale=1e-3, unit=" k"
    )


def single(
    text: str, where: tuple[str, str, str], limits: tuple[float, float], scale: float, unit: str
) -> PerformanceTarget:
    """A figure of our server by itself; `where`: table, case, quantity."""
    return PerformanceTarget(text, *where, *limits, scale=scale, unit=unit)


def generator(text: str, quantity: str, limits: tuple[float, float]) -> PerformanceTarget:
    """A figure of our load tester, against k6."""
    return PerformanceTarget(
        text, "generators", RECEIVING, quantity, *limits, theirs="k6", ours="rtcli loadtest"
    )


TARGETS: tuple[PerformanceTarget, ...] = (
    faster("room of 100", ROOMS[100], "Nchan", 1.3, 2.0),
    faster("room of 100", ROOMS[100], "Bun", 0.75, 1.2),
    faster("room of 1 000", ROOMS[1000], "Nchan", 1.8, 3.0),
    faster("room of 1 000", ROOMS[1000], "Bun", 0.9, 1.2),
    faster("room of 10", ROOMS[10], "Bun", 0.75, 1.0),
    cheaper(ROOMS[100]),
    cheaper(ROOMS[1000]),
    faster(EIGHT, EIGHT, "ws", 3.0, 4.0),
    faster(EIGHT, EIGHT, "Bun", 0.75, 1.1),
    *(faster(case, case, "naive", 8.0, 15.0) for case in (*ROOMS.values(), EIGHT)),
    stored("memory", 25, 50),
    stored("SQLite", 10, 25),
    stored("Redis", 10, 25),
    single(
        "p99 of a delivery at half of saturation, room of 100", ("latency", HALF, "p99"), (10, 3), 1e3, " ms"
    ),
    single("idle connection", ("connections", IDLE_5000, "bytes_per_connection"), (14, 8), 1 / 1024, " KB"),
    single("accepted", ("connections", IDLE_5000, "accepts_per_second"), (1_500, 3_000), 1, "/s"),
    single("10 000 connections, p99 of chat", ("connections", IDLE_10000, "p99"), (50, 50), 1e3, " ms"),
    single("SSE events/s, 1 000 streams", ("sse", STREAMS, "per_second"), (500, 900), 1e-3, " k"),
    PerformanceTarget("one frozen client: others' p99", "frozen", ONE_FROZEN, "p99", 1.2, 1.0, base=NORMAL),
    generator("load generator, audited deliveries/s against k6", "per_second", (6, 15)),
    PerformanceTarget(
        "load generator, memory per user",
        "generators",
        RECEIVING,
        "bytes_per_connection",
        acceptable=60,
        goal=35,
        ours="rtcli loadtest",
        scale=1 / 1024,
        unit=" KB",
    ),
    single("start, `rtcli --version`", ("startup", VERSION, "ready_s"), (200, 120), 1e3, " ms"),
    single("start, `rtcli serve` ready", ("startup", READY, "ready_s"), (1_000, 600), 1e3, " ms"),
)
