"""Which workers are started when, without any process."""

from __future__ import annotations

import math

import pytest

from rtcli_server.process.worker_pool_state import EARLY_S, MAX_EARLY_EXITS, WorkerPoolState, describe_exit


def ready_pool(count: int = 2) -> WorkerPoolState:
    """A pool whose workers were all started at 0 and are ready."""
    pool = WorkerPoolState(count)
    for number in pool.to_start(0.0):
        pool.started(number, 100 + number, 0.0)
        pool.ready(number)
    return pool


def test_all_are_started_at_once_and_ready_is_said_once() -> None:
    pool = WorkerPoolState(3)
    assert pool.to_start(0.0) == [1, 2, 3]
    for number in (1, 2, 3):
        pool.started(number, 100 + number, 0.0)
    assert pool.to_start(0.0) == []
    assert pool.wait_s(0.0) == math.inf
    assert [pool.ready(number) for number in (2, 3, 1)] == [False, False, True]
    pool.exited(2, 60.0)
    pool.started(2, 202, 61.0)
    assert not pool.ready(2)
    assert pool.pids == {1: 101, 2: 202, 3: 103}


def test_one_that_lived_is_soon_started_again() -> None:
    pool = ready_pool()
    for now in (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0):
        delay_s = pool.exited(1, now)
        assert delay_s == 0.1
        assert pool.to_start(now + 0.05) == []
        assert pool.wait_s(now + 0.05) == pytest.approx(0.05)
        assert pool.to_start(now + 0.11) == [1]
        pool.started(1, 101, now + 0.11)
        pool.ready(1)


def test_one_that_dies_at_once_waits_longer_each_time_and_is_given_up() -> None:
    pool = ready_pool()
    now, fates = 1.0, []
    for _ in range(MAX_EARLY_EXITS):
        fates.append(pool.exited(2, now))
        now += 1.7
        pool.started(2, 202, now)
    assert fates[:-1] == [0.2, 0.4, 0.8, 1.6]
    assert fates[-1] == f"5 times in a row, each within {EARLY_S:g} s of its start"


def test_a_life_in_between_forgives() -> None:
    pool = ready_pool()
    now = 1.0
    for _ in range(3):
        for _ in range(MAX_EARLY_EXITS - 1):
            assert isinstance(pool.exited(1, now), float)
            pool.started(1, 101, now)
        now += EARLY_S
        assert pool.exited(1, now) == 0.1
        pool.started(1, 101, now)


def test_the_deaths_of_one_do_not_count_for_another() -> None:
    pool = ready_pool()
    for _ in range(MAX_EARLY_EXITS - 1):
        for number in (1, 2):
            assert isinstance(pool.exited(number, 1.0), float)
            pool.started(number, 100 + number, 1.0)


def test_a_death_before_all_were_ready_is_the_end() -> None:
    pool = WorkerPoolState(2)
    for number in (1, 2):
        pool.started(number, 100 + number, 0.0)
    pool.ready(1)
    assert pool.exited(2, EARLY_S + 1) == "before all workers were ready"


def test_nobody_is_started_after_the_stop() -> None:
    pool = ready_pool()
    pool.exited(1, 10.0)
    pool.stop()
    assert pool.to_start(100.0) == []
    assert pool.wait_s(100.0) == math.inf
    assert pool.pids == {2: 102}


@pytest.mark.parametrize(
    ("exit_code", "text"),
    [(0, "ended with exit code 0"), (-9, "was ended by SIGKILL"), (-37, "was ended by signal 37")],
)
def test_ends_are_described(exit_code: int, text: str) -> None:
    assert describe_exit(exit_code) == text
