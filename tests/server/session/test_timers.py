from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from rtcli_server.session.timers import Expiry, ExpiryTimer, HeartbeatAction, HeartbeatTimer

NOTHING, PING, DEAD = HeartbeatAction.NOTHING, HeartbeatAction.PING, HeartbeatAction.DEAD


def timer(interval_s: float = 30, timeout_s: float = 10, max_misses: int = 3) -> HeartbeatTimer:
    return HeartbeatTimer(interval_s=interval_s, timeout_s=timeout_s, max_misses=max_misses, now=0)


def run(beats: HeartbeatTimer, until: float) -> list[tuple[float, HeartbeatAction]]:
    """Call `tick` whenever it is due, and note what comes."""
    seen: list[tuple[float, HeartbeatAction]] = []
    while beats.due <= until:
        now = beats.due
        action = beats.tick(now)
        if action is not NOTHING:
            seen.append((now, action))
        if action is DEAD:
            break
    return seen


def test_three_misses_and_the_peer_is_dead() -> None:
    assert run(timer(), 1_000) == [
        (30, PING),
        (60, PING),
        (90, PING),
        (100, DEAD),
    ]


def test_one_sign_of_life_starts_the_count_again() -> None:
    beats = timer()
    assert run(beats, 69) == [(30, PING), (60, PING)]
    assert beats.misses == 1
    beats.heard = True
    assert run(beats, 1_000) == [(90, PING), (120, PING), (150, PING), (160, DEAD)]


def test_what_came_before_the_ping_is_no_answer() -> None:
    beats = timer(max_misses=1)
    beats.heard = True
    assert run(beats, 1_000) == [(30, PING), (40, DEAD)]


def test_an_answer_in_the_same_instant_counts() -> None:
    beats = timer(max_misses=1)
    assert beats.tick(30) is PING
    beats.heard = True
    assert beats.tick(40) is NOTHING
    assert beats.due == 60


def test_nothing_is_due_before_its_time() -> None:
    beats = timer()
    assert beats.tick(29.999) is NOTHING
    assert beats.due == 30
    assert beats.tick(30) is PING
    assert beats.due == 40
    assert beats.tick(39.999) is NOTHING


def test_a_timeout_as_long_as_the_interval() -> None:
    assert run(timer(20, 20, 1), 1_000) == [(20, PING), (40, DEAD)]
    assert run(timer(5, 20, 2), 1_000) == [(5, PING), (25, PING), (45, DEAD)]


def test_a_late_tick_does_not_count_twice() -> None:
    beats = timer()
    assert beats.tick(500) is PING
    assert beats.tick(1_000) is PING
    assert beats.misses == 1


@given(st.floats(1, 100), st.floats(1, 100), st.integers(1, 5), st.lists(st.floats(0.1, 50), max_size=100))
def test_a_peer_that_answers_lives_and_a_silent_one_dies_in_time(
    interval_s: float, timeout_s: float, max_misses: int, gaps: list[float]
) -> None:
    lively, silent = timer(interval_s, timeout_s, max_misses), timer(interval_s, timeout_s, max_misses)
    now = 0.0
    for gap in gaps:
        now += gap
        assert lively.tick(now) is not DEAD
        lively.heard = True
    dead_by = (max(interval_s, timeout_s) + timeout_s) * (max_misses + 1)
    assert run(silent, dead_by)[-1][1] is DEAD


# -- tokens ------------------------------------------------------------------------------------------------


def test_a_minute_before_and_25_seconds_after() -> None:
    expiry = ExpiryTimer(1_000, notice_s=60, grace_s=25, wall=0)
    assert expiry.due == 940
    assert expiry.tick(939.9) is Expiry.NOTHING
    assert expiry.tick(940) is Expiry.SOON
    assert expiry.due == 1_025
    assert expiry.tick(1_000) is Expiry.NOTHING
    assert expiry.tick(1_024.9) is Expiry.NOTHING
    assert expiry.tick(1_025) is Expiry.OVER


def test_a_short_token_is_told_at_half_of_its_life() -> None:
    assert ExpiryTimer(1_000, notice_s=60, grace_s=25, wall=880).due == 940
    assert ExpiryTimer(1_000, notice_s=60, grace_s=25, wall=900).due == 950
    assert ExpiryTimer(1_000, notice_s=60, grace_s=25, wall=990).due == 995


def test_a_token_that_is_over_already() -> None:
    expiry = ExpiryTimer(1_000, notice_s=60, grace_s=25, wall=1_010)
    assert expiry.tick(1_010) is Expiry.SOON
    assert expiry.tick(1_025) is Expiry.OVER


def test_a_jump_of_the_clock_past_all_of_it() -> None:
    expiry = ExpiryTimer(1_000, notice_s=60, grace_s=25, wall=0)
    assert expiry.tick(5_000) is Expiry.OVER


def test_without_an_end_nothing_is_due() -> None:
    assert ExpiryTimer(inf, notice_s=60, grace_s=25, wall=0).due == inf
