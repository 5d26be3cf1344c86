"""One client among a thousand that never reads: ``python -m benchmarks.frozen``."""

from benchmarks.cases import NORMAL, ONE_FROZEN
from benchmarks.client.jobs import Paced, Result
from benchmarks.harness import Running, measure
from benchmarks.program import Case, Options, finish, options, run_cases

SUBJECTS = ("naive", "ws", "Nchan", "Bun", "rtcli")
METHOD = {
    "load client": "raw sockets, one process",
    "frozen": "joined, 4 KiB receive buffer, reads nothing more",
}
RATE, LENGTH = 40, 8_000
FILLING_S = 12.0
"""At 330 KB a second: until the kernel's buffers (2.8 MB) and a megabyte of the server's own are full."""


def with_frozen(name: str, frozen: int) -> Case:
    """A room of a thousand with `frozen` further members that do not read."""

    def run(server: Running, chosen: Options) -> Result:
        filling = min(FILLING_S, 2 * chosen.seconds)
        job = Paced(server.target(), 1_000, RATE, filling, chosen.seconds, frozen=frozen, length=LENGTH)
        return measure(job)

    return Case(name, SUBJECTS, run)


def main() -> None:
    """Measure, write the results, print the figures."""
    chosen = options("one frozen client among a thousand", seconds=6.0)
    rows, failed = run_cases([with_frozen(NORMAL, 0), with_frozen(ONE_FROZEN, 1)], chosen)
    finish("frozen", rows, failed, chosen, METHOD)


if __name__ == "__main__":
    main()
