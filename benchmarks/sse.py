"""Events per second to a thousand event streams: ``python -m benchmarks.sse``."""

from benchmarks.cases import STREAMS
from benchmarks.client.jobs import Result, Streams
from benchmarks.harness import Running, measure
from benchmarks.program import Case, Options, finish, options, run_cases

SUBJECTS = ("naive", "Nchan", "rtcli")
METHOD = {
    "load client": "raw sockets, one process, marks counted in the bytes",
    "message text": "100 characters",
}


def streams(server: Running, chosen: Options) -> Result:
    """1 000 streams of one room, 32 publications on their way."""
    return measure(Streams(server.target(), 1_000, 32, chosen.warmup_s, chosen.seconds))


def main() -> None:
    """Measure, write the results, print ratios and figures."""
    chosen = options("events per second to a thousand event streams")
    rows, failed = run_cases([Case(STREAMS, SUBJECTS, streams)], chosen)
    finish("sse", rows, failed, chosen, METHOD)


if __name__ == "__main__":
    main()
