"""Which errors a scenario allows: `expect_errors` of a role, for sends and for attempts to connect. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rtcli.load.scenario.model import ExpectedError


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
        and _sum(counts, entry.phase) <= entry.share * _sum(totals, entry.phase)
        for entry in expected
    )


def _sum(by_phase: Mapping[str, int], phase: str | None) -> int:
    return sum(by_phase.values()) if phase is None else by_phase.get(phase, 0)
