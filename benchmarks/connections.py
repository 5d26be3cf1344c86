"""Idle connections: memory, accepts per second, and chat among them: ``python -m benchmarks.connections``."""

from benchmarks.cases import IDLE_5000, IDLE_10000
from benchmarks.client.jobs import Idle, Result
from benchmarks.harness import Running, measure
from benchmarks.program import Case, Options, finish, options, run_cases

SUBJECTS = ("naive", "Socket.IO", "ws", "Nchan", "Bun", "rtcli", "rtcli portable")
METHOD = {
    "load client": "raw sockets, one process, 100 handshakes at once",
    "chat": "500 messages/s in rooms of 10",
}
REST_S = 2.0


def idle(name: str, subjects: tuple[str, ...], sockets: int) -> Case:
    """`sockets` connections in rooms of ten."""

    def run(server: Running, chosen: Options) -> Result:
        return measure(Idle(server.target(), sockets, 100, 10, REST_S, 500, chosen.seconds))

    return Case(name, subjects, run)


def main() -> None:
    """Measure, write the results, print ratios and figures."""
    chosen = options("memory and time per connection")
    cases = [idle(IDLE_5000, SUBJECTS, 5_000), idle(IDLE_10000, ("Bun", "rtcli"), 10_000)]
    rows, failed = run_cases(cases, chosen)
    finish("connections", rows, failed, chosen, METHOD)


if __name__ == "__main__":
    main()
