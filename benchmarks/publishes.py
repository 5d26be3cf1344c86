"""Publishes acknowledged per second, by store: ``python -m benchmarks.publishes``."""

from benchmarks.cases import ACKED
from benchmarks.client.jobs import Closed, Result
from benchmarks.harness import Running, measure, redis
from benchmarks.program import Case, Options, finish, options, run_cases

SUBJECTS = ("rtcli memory", "rtcli SQLite", "rtcli Redis")
METHOD = {
    "load client": "raw sockets, one process",
    "Redis": "a server of its own, on the load client's core",
}


def acknowledged(server: Running, chosen: Options) -> Result:
    """8 publishers, each alone in its room, 64 in flight each."""
    return measure(Closed(server.target(), 8, 8, 64, chosen.warmup_s, chosen.seconds, acked=True))


def main() -> None:
    """Measure, write the results, print the figures."""
    chosen = options("publishes acknowledged per second by store")
    with redis():
        rows, failed = run_cases([Case(ACKED, SUBJECTS, acknowledged)], chosen)
    finish("publishes", rows, failed, chosen, METHOD)


if __name__ == "__main__":
    main()
