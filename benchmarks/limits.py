"""Fan-out in a closed loop with a client that only counts: ``python -m benchmarks.limits``."""

from benchmarks.fanout import closed_cases
from benchmarks.program import finish, options, run_cases

SUBJECTS = ("Nchan", "Bun", "rtcli", "rtcli acked")
METHOD = {
    "load client": "raw sockets, one process, marks counted in the bytes",
    "message text": "100 characters",
}


def main() -> None:
    """Measure, write the results, print ratios and figures."""
    chosen = options("fan-out against the fastest peers, client that counts")
    rows, failed = run_cases(closed_cases(SUBJECTS, strict=False), chosen)
    finish("limits", rows, failed, chosen, METHOD)


if __name__ == "__main__":
    main()
