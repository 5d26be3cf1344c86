"""Which workers are started when, without any process."""

from __future__ import annotations

import math
import os
from typing import NoReturn

import pytest
from rtcli_server.process.supervisor import WorkersError, supervise
from rtcli_server.process.worker_pool_state import EARLY_S, MAX_EARLY_DEATHS, Crew, describe_end

from tests.support.servers.watch import descriptors


def ready_crew(count: int = 2) -> Crew:
    """A crew whose workers were all started at 0 and are ready."""
    crew = Crew(count)
    for number in crew.to_start(0.0):
        crew.started(number, 100 + number, 0.0)
        crew.ready(number)
    return crew


def test_all_are_started_at_once_and_ready_is_said_once() -> None:
    crew = Crew(3)
    assert crew.to_start(0.0) == [1, 2, 3]
    for number in (1, 2, 3):
        crew.started(number, 100 + number, 0.0)
    assert crew.to_start(0.0) == []
    assert crew.wait_s(0.0) == math.inf
    assert [crew.ready(number) for number in (2, 3, 1)] == [False, False, True]
    crew.died(2, 60.0)
    crew.started(2, 202, 61.0)
    assert not crew.ready(2)
    assert crew.pids == {1: 101, 2: 202, 3: 103}


def test_one_that_lived_is_soon_started_again() -> None:
    crew = ready_crew()
    for now in (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0):
        delay_s = crew.died(1, now)
        assert delay_s == 0.1
        assert crew.to_start(now + 0.05) == []
        assert crew.wait_s(now + 0.05) == pytest.approx(0.05)
        assert crew.to_start(now + 0.11) == [1]
        crew.started(1, 101, now + 0.11)
        crew.ready(1)


def test_one_that_dies_at_once_waits_longer_each_time_and_is_given_up() -> None:
    crew = ready_crew()
    now, fates = 1.0, []
    for _ in range(MAX_EARLY_DEATHS):
        fates.append(crew.died(2, now))
        now += 1.7
        crew.started(2, 202, now)
    assert fates[:-1] == [0.2, 0.4, 0.8, 1.6]
    assert fates[-1] == f"5 times in a row, each within {EARLY_S:g} s of its start"


def test_a_life_in_between_forgives() -> None:
    crew = ready_crew()
    now = 1.0
    for _ in range(3):
        for _ in range(MAX_EARLY_DEATHS - 1):
            assert isinstance(crew.died(1, now), float)
            crew.started(1, 101, now)
        now += EARLY_S
        assert crew.died(1, now) == 0.1
        crew.started(1, 101, now)


def test_the_deaths_of_one_do_not_count_for_another() -> None:
    crew = ready_crew()
    for _ in range(MAX_EARLY_DEATHS - 1):
        for number in (1, 2):
            assert isinstance(crew.died(number, 1.0), float)
            crew.started(number, 100 + number, 1.0)


def test_a_death_before_all_were_ready_is_the_end() -> None:
    crew = Crew(2)
    for number in (1, 2):
        crew.started(number, 100 + number, 0.0)
    crew.ready(1)
    assert crew.died(2, EARLY_S + 1) == "before all workers were ready"


def test_nobody_is_started_after_the_stop() -> None:
    crew = ready_crew()
    crew.died(1, 10.0)
    crew.stop()
    assert crew.to_start(100.0) == []
    assert crew.wait_s(100.0) == math.inf
    assert crew.pids == {2: 102}


@pytest.mark.parametrize(
    ("exit_code", "text"),
    [(0, "ended with exit code 0"), (-9, "was ended by SIGKILL"), (-37, "was ended by signal 37")],
)
def test_ends_are_described(exit_code: int, text: str) -> None:
    assert describe_end(exit_code) == text


def test_no_process_left_to_start_a_worker_in(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def fork() -> NoReturn:
        tries.append(1)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    before = descriptors(os.getpid())
    with pytest.raises(WorkersError, match=r"worker 1 could not be started \(Resource temporarily"):
        supervise(2, lambda _number, _tell: 0, on_ready=lambda: None, stop_s=1.0)
    assert descriptors(os.getpid()) == before
    assert len(tries) == 1  # nobody else is started when it is over
