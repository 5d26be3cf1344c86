"""Latency of a delivery in an open loop: ``python -m benchmarks.latency``."""

from benchmarks.cases import EQUAL_100, EQUAL_1000, HALF
from benchmarks.client.jobs import Closed, Paced, Result
from benchmarks.harness import MeasurementError, Running, measure
from benchmarks.program import Case, Options, finish, options, run_cases

PEERS = ("Socket.IO", "ws", "Nchan", "Bun", "rtcli", "rtcli portable")
METHOD = {"load client": "raw sockets, one process; every tenth member times each message"}


def at_rate(sockets: int, rate: float) -> Case:
    """The same load for every server."""

    def run(server: Running, chosen: Options) -> Result:
        return measure(Paced(server.target(), sockets, rate, chosen.warmup_s, chosen.seconds))

    return Case(EQUAL_100 if sockets == 100 else EQUAL_1000, PEERS, run)


def at_half(server: Running, chosen: Options) -> Result:
    """Half of what this server just reached in a closed loop, in a room of 100."""
    full = measure(Closed(server.target(), 100, 4, 8, chosen.warmup_s, chosen.seconds, strict=True))
    if not full.per_second:
        raise MeasurementError("nothing was delivered in the closed loop")
    rate = full.per_second / 100 / 2
    return measure(Paced(server.target(), 100, rate, chosen.warmup_s, chosen.seconds))


def main() -> None:
    """Measure, write the results, print ratios and figures."""
    chosen = options("latency of a delivery at equal load and at half of saturation")
    cases = [at_rate(100, 1_000), at_rate(1_000, 100), Case(HALF, ("naive", *PEERS), at_half)]
    rows, failed = run_cases(cases, chosen)
    finish("latency", rows, failed, chosen, METHOD)


if __name__ == "__main__":
    main()
