"""Fan-out in a closed loop, client on picows: ``python -m benchmarks.fanout``."""

from benchmarks.cases import EIGHT, ROOMS
from benchmarks.client.jobs import Closed, Result
from benchmarks.harness import Running, measure
from benchmarks.program import Case, Options, finish, options, run_cases

SUBJECTS = ("naive", "Socket.IO", "ws", "Nchan", "Bun", "rtcli", "rtcli acked", "rtcli portable")
METHOD = {"load client": "picows, one process, every frame parsed", "message text": "100 characters"}


def closed_case(name: str, subjects: tuple[str, ...], *, shape: tuple[int, int, int], strict: bool) -> Case:
    """One closed loop; `shape`: sockets, publishers, messages in flight of each."""

    def run(server: Running, chosen: Options) -> Result:
        return measure(Closed(server.target(), *shape, chosen.warmup_s, chosen.seconds, strict=strict))

    return Case(name, subjects, run)


def closed_cases(subjects: tuple[str, ...], *, strict: bool) -> list[Case]:
    """The rooms of the table, and the room in which everybody publishes."""
    rooms = [closed_case(name, subjects, shape=(size, 4, 8), strict=strict) for size, name in ROOMS.items()]
    return [*rooms, closed_case(EIGHT, subjects, shape=(8, 8, 32), strict=strict)]


def main() -> None:
    """Measure, write the results, print ratios and figures."""
    chosen = options("fan-out against the peers, client on picows")
    rows, failed = run_cases(closed_cases(SUBJECTS, strict=True), chosen)
    finish("fanout", rows, failed, chosen, METHOD)


if __name__ == "__main__":
    main()
