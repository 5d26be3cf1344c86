"""When the application's server is asked again."""

from __future__ import annotations

import pytest

from rtcli_server.hooks.circuit_breaker import MAX_S, THRESHOLD, CircuitBreaker


def opened() -> CircuitBreaker:
    """A breaker that opened at time 0."""
    breaker = CircuitBreaker()
    for _ in range(THRESHOLD):
        assert breaker.allows(0.0)
        breaker.failed(0.0)
    return breaker


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = CircuitBreaker()
    for _ in range(10 * THRESHOLD):
        breaker.failed(0.0)
        breaker.succeeded()
    assert breaker.allows(0.0)
    assert not breaker.is_open
    assert opened().is_open


def test_one_trial_at_the_end_of_a_pause_closes_it() -> None:
    breaker = opened()
    assert not breaker.allows(0.99)
    assert breaker.allows(1.0)
    assert not breaker.allows(1.0)  # the trial is on its way
    breaker.succeeded()
    assert breaker.allows(1.0)


def test_pauses_double_up_to_a_limit() -> None:
    breaker, now, pauses = opened(), 0.0, []
    for _ in range(7):
        since = now
        while not breaker.allows(now):
            now += 0.5
        pauses.append(now - since)
        breaker.failed(now)
    assert pauses == pytest.approx([1, 2, 4, 8, 16, MAX_S, MAX_S])


def test_a_call_that_was_given_up_says_nothing_and_leaves_the_trial_to_another() -> None:
    breaker = CircuitBreaker()
    for _ in range(10 * THRESHOLD):
        assert breaker.allows(0.0)
        breaker.given_up()
    assert not breaker.is_open
    breaker = opened()
    assert breaker.allows(1.0)
    breaker.given_up()
    assert breaker.is_open
    assert breaker.allows(1.0)
