"""Which errors a scenario allows: `expect_errors` of a role, for sends and for attempts to connect. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from rtcli.load.scenario.model import ExpectedError

_ROUNDING = 1e-9  # of shares, which are binary fractions: 29 % of 100 is a little less than 29


def is_allowed(
    expected: Iterable[ExpectedError],
    code: str,
    phase: str,
    counts: Mapping[str, int],
    totals: Mapping[str, int],
) -> bool:
    """Whether errors with this code in this phase are allowed.

    `counts` has the errors of this code by phase, `totals` what they are a share of by phase: the sends that
    were due, or the users that were planned. One entry of `expected` that allows them is enough.
    """
    return any(
        entry.code == code
        and entry.phase in {None, phase}
        and _sum(counts, entry.phase) <= at_most(entry.share, _sum(totals, entry.phase))
        for entry in expected
    )


def at_most(share: float, total: int) -> int:
    """The whole number that is at most this share of a total."""
    return math.floor(share * total * (1 + _ROUNDING) + _ROUNDING)


def _sum(by_phase: Mapping[str, int], phase: str | None) -> int:
    return sum(by_phase.values()) if phase is None else by_phase.get(phase, 0)
