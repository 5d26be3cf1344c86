"""When the event loop of a worker stood still."""

from __future__ import annotations

from rtcli.load.core.stalls import Stalls

S = 1_000_000


def test_stalls_are_added_up_within_the_times_that_are_asked_for() -> None:
    stalls = Stalls()
    stalls.add(1 * S, 2 * S)
    stalls.add(5 * S, 8 * S)
    assert stalls.within(0, 10 * S) == 4 * S
    assert stalls.within(0, 6 * S) == 2 * S
    assert stalls.within(2 * S, 5 * S) == 0
    assert stalls.within(6 * S, 7 * S) == 1 * S
    assert stalls.during(1_500_000, 6 * S) == [(1_500_000, 2 * S), (5 * S, 6 * S)]


def test_probes_that_are_a_little_late_are_no_stalls() -> None:
    stalls = Stalls()
    stalls.add(1 * S, 1 * S + 20_000)
    assert stalls.within(0, 2 * S) == 0


def test_a_stall_counts_before_the_next_probe() -> None:
    stalls = Stalls()
    stalls.expect(3 * S)
    assert stalls.within(0, 3 * S + 10_000) == 0
    assert stalls.within(0, 5 * S) == 2 * S
    stalls.add(3 * S, 5 * S)
    assert stalls.within(0, 6 * S) == 2 * S
