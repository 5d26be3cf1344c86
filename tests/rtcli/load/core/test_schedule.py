from __future__ import annotations

import itertools
import math
from random import Random
from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.load.core.schedule import Piece, Profile, arrival_times, seeded_rng, send_profile, stays
from rtcli.load.scenario.model import Phase, Ramp, Role

FULL = Ramp(1.0, 1.0)


def phases(*given: tuple[float, float, bool]) -> list[Phase]:
    return [
        Phase(f"p{index}", length, FULL, rates=rate, publish=publish)
        for index, (length, rate, publish) in enumerate(given)
    ]


def test_even_moments_are_even_and_follow_the_rate() -> None:
    profile = send_profile(2.0, phases((10, 1, True), (10, 4, True), (5, 1, False)))
    moments = list(profile.times(Random(1), "even"))
    assert len([at for at in moments if at < 10]) in {19, 20}
    assert len([at for at in moments if 10 <= at < 20]) in {79, 80, 81}
    assert not [at for at in moments if at >= 20]
    gaps = [later - earlier for earlier, later in itertools.pairwise(at for at in moments if at < 10)]
    assert gaps == pytest.approx([0.5] * len(gaps))


def test_the_timetable_depends_on_the_seed_alone() -> None:
    profile = send_profile(5.0, phases((20, 1, True)))
    first, again = (list(profile.times(seeded_rng(7, "writer 1"), "poisson")) for _ in range(2))
    other = list(profile.times(seeded_rng(8, "writer 1"), "poisson"))
    assert first == again != other


def test_poisson_gaps_are_exponential() -> None:
    moments = list(send_profile(50.0, phases((200, 1, True))).times(Random(3), "poisson"))
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert mean(gaps) == pytest.approx(0.02, rel=0.05)
    assert stdev(gaps) == pytest.approx(0.02, rel=0.05)


@given(
    st.lists(st.tuples(st.floats(0.01, 50), st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=6),
    st.floats(0, 1),
)
def test_the_inverse_of_the_integral(shape: list[tuple[float, float, float]], share: float) -> None:
    at, pieces = 0.0, []
    for length, low, high in shape:
        pieces.append(Piece(at, at + length, low, high))
        at += length
    profile = Profile(pieces)
    wanted = profile.total * share * 0.999
    moment = profile.time_at(wanted)
    if profile.total == 0:
        assert moment is None
        return
    assert moment is not None
    found = 0.0
    for piece in pieces:
        if moment >= piece.end:
            found += piece.area
        elif moment > piece.start:
            part = (moment - piece.start) / (piece.end - piece.start)
            middle = piece.low + (piece.high - piece.low) * part
            found += (moment - piece.start) * (piece.low + middle) / 2
    assert math.isclose(found, wanted, rel_tol=1e-6, abs_tol=1e-6)
    assert profile.time_at(profile.total) is None


def role(**more: object) -> Role:
    return Role("reader", (), **more)  # type: ignore[arg-type]


def test_users_come_and_go_with_the_level() -> None:
    curve = [
        Phase("up", 10, Ramp(0, 1)),
        Phase("stay", 10, FULL),
        Phase("down", 10, Ramp(1, 0.5)),
        Phase("again", 10, Ramp(1, 1)),
    ]
    found = stays(role(users=4), curve)
    firsts = [(stay.number, stay.start, stay.end) for stay in found if stay.start < 20]
    assert [number for number, _, _ in firsts] == [0, 1, 2, 3]
    assert [start for _, start, _ in firsts] == pytest.approx([1.25, 3.75, 6.25, 8.75])
    assert [end for _, _, end in firsts] == pytest.approx([40, 40, 27.5, 22.5])
    assert [(stay.number, stay.start) for stay in found if stay.start >= 20] == [(2, 30), (3, 30)]


@pytest.mark.parametrize("users", [1, 2, 7, 100])
def test_everybody_is_there_when_the_level_is_full(users: int) -> None:
    assert [(stay.start, stay.end) for stay in stays(role(users=users), [Phase("all", 5, FULL)])] == [
        (0, 5)
    ] * users
    assert not stays(role(users=users), [Phase("none", 5, Ramp(0, 0))])


def test_arrivals_follow_the_level() -> None:
    curve = [Phase("up", 100, Ramp(0, 1)), Phase("full", 100, FULL)]
    times = list(arrival_times(role(arrivals=10.0), curve, Random(5)))
    assert len([at for at in times if at < 100]) == pytest.approx(500, rel=0.15)
    assert len([at for at in times if at >= 100]) == pytest.approx(1000, rel=0.1)
    assert times == sorted(times)
    even = list(arrival_times(role(arrivals=10.0, spread="even"), [Phase("full", 10, FULL)], Random(5)))
    assert len(even) in {99, 100}
