"""The number of violations of each kind that a result keeps with their evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from rtcli.load.results.kinds import KINDS
from rtcli.load.results.model import Violation


def share_out(found: Mapping[str, int], total: int) -> dict[str, int]:
    """Shares of `total` for the kinds that were found, worst first: equal, as far as each needs its share."""
    order = [*KINDS, *sorted(set(found) - set(KINDS))]
    shares = {kind: 0 for kind in order if found.get(kind)}
    while left := min(total, sum(found.values())) - sum(shares.values()):
        needy = [kind for kind in shares if shares[kind] < found[kind]]
        for kind in needy[:left]:
            shares[kind] += min(found[kind] - shares[kind], max(1, left // len(needy)))
    return shares


def choose(violations: Iterable[Violation], total: int) -> list[Violation]:
    """The violations to keep: the first of each kind, the worst kinds first."""
    by_kind: defaultdict[str, list[Violation]] = defaultdict(list)
    for violation in violations:
        by_kind[violation.kind].append(violation)
    shares = share_out({kind: len(found) for kind, found in by_kind.items()}, max(total, 0))
    return [it for kind, share in shares.items() for it in sorted(by_kind[kind], key=_time)[:share]]


def _time(violation: Violation) -> float:
    known = (violation.received, violation.sent)
    return next((time for time in known if time is not None), 0.0)
