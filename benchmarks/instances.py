"""One, two and four instances on one Redis: ``python -m benchmarks.instances``."""

from benchmarks.cases import ACKED, ACKED_ROOMS, ROOMS
from benchmarks.client.jobs import Closed, Result
from benchmarks.harness import Running, measure, redis
from benchmarks.program import Case, Options, finish, options, run_cases

SUBJECTS = ("rtcli memory", "rtcli Redis", "rtcli Redis, 2 instances", "rtcli Redis, 4 instances")
METHOD = {
    "load client": "raw sockets, one process",
    "Redis": "a server of its own, on the load client's core",
}


def acknowledged(name: str, rooms: int, window: int) -> Case:
    """Publishers, each alone in its room, that go on by acknowledgements."""

    def run(server: Running, chosen: Options) -> Result:
        return measure(
            Closed(server.target(), rooms, rooms, window, chosen.warmup_s, chosen.seconds, acked=True)
        )

    return Case(name, SUBJECTS, run)


def delivered(size: int) -> Case:
    """One room, four of whose members keep 8 messages each in flight."""

    def run(server: Running, chosen: Options) -> Result:
        return measure(Closed(server.target(), size, 4, 8, chosen.warmup_s, chosen.seconds))

    return Case(ROOMS[size], SUBJECTS, run)


def main() -> None:
    """Measure, write the results, print the figures."""
    chosen = options("several instances on one Redis")
    cases = [
        acknowledged(ACKED, 8, 64),
        *(acknowledged(name, rooms, 400 // rooms or 1) for rooms, name in ACKED_ROOMS.items()),
        delivered(100),
        delivered(1_000),
    ]
    with redis():
        rows, failed = run_cases(cases, chosen)
    finish("instances", rows, failed, chosen, METHOD)


if __name__ == "__main__":
    main()
