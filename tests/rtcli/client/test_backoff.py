from __future__ import annotations

import random
from itertools import islice

import pytest

from rtcli.client.backoff import FLOOR_S, GOOD_S, MAX_RETRY_AFTER_S, Reconnect, full_jitter
from rtcli.client.failures import Failure
from rtcli.errors import CliError, Exit

GONE = CliError("gone", exit_code=Exit.CANNOT_CONNECT)
TRANSIENT = Failure("1006", GONE, retry=True)


def test_delays_stay_under_a_bound_that_doubles_up_to_the_cap() -> None:
    delays = list(islice(full_jitter(random.Random(1), base_s=0.5, cap_s=4.0), 200))
    bounds = [0.5, 1.0, 2.0, 4.0] + [4.0] * 196
    assert all(0 <= delay <= bound for delay, bound in zip(delays, bounds, strict=True))
    assert max(delays) > 3.5
    assert min(delays[4:]) < 0.5


def test_the_same_seed_gives_the_same_delays() -> None:
    first, second = (list(islice(full_jitter(random.Random(7)), 20)) for _ in range(2))
    assert first == second


def test_the_first_failure_is_final_without_wait() -> None:
    reconnect = Reconnect(random.Random(1), started=100.0)
    with pytest.raises(CliError, match="gone"):
        reconnect.delay(TRANSIENT, now=100.0)


def test_wait_keeps_trying_the_first_connection_until_its_deadline() -> None:
    reconnect = Reconnect(random.Random(1), started=100.0, wait_s=30.0)
    for now in (100.0, 105.0, 129.5):
        assert 0 <= reconnect.delay(TRANSIENT, now=now) <= min(1.0, 130.0 - now)
    with pytest.raises(CliError):
        reconnect.delay(TRANSIENT, now=130.0)


def test_after_a_good_connection_it_comes_back_for_ever_and_starts_short_again() -> None:
    reconnect = Reconnect(random.Random(1), started=0.0, base_s=0.5, cap_s=30.0)
    reconnect.opened(0.0)
    assert max(reconnect.delay(TRANSIENT, now=1e6) for _ in range(100)) > 10
    assert reconnect.attempt == 100
    reconnect.opened(1e6)
    assert reconnect.delay(TRANSIENT, now=1e6 + GOOD_S) <= 0.5
    assert reconnect.attempt == 1


def test_a_server_that_accepts_and_closes_is_left_alone_for_longer_each_time() -> None:
    reconnect = Reconnect(random.Random(1), started=0.0, base_s=0.5, cap_s=30.0)
    now, delays = 0.0, []
    for _ in range(40):
        reconnect.opened(now)
        now += GOOD_S * 0.9
        delays.append(reconnect.delay(TRANSIENT, now=now))
        now += delays[-1]
        assert reconnect.attempt == 1, "of this loss"
    assert max(delays[:3]) <= 2.0
    assert max(delays[6:]) > 10


def test_an_answer_to_a_request_shows_that_the_server_is_well() -> None:
    reconnect = Reconnect(random.Random(1), started=0.0, base_s=0.5, cap_s=30.0)
    for _ in range(40):
        reconnect.answered()
        assert reconnect.delay(TRANSIENT, now=0.0) <= 0.5


@pytest.mark.parametrize("asked", [0.0, FLOOR_S / 2, FLOOR_S, 7.0])
def test_after_a_short_connection_no_wish_goes_below_the_floor(asked: float) -> None:
    reconnect = Reconnect(random.Random(1), started=0.0)
    wish = Failure("ended", GONE, retry=True, retry_after_s=asked)
    for now in range(5):
        reconnect.opened(now)
        assert reconnect.delay(wish, now=now + 0.5) == max(asked, FLOOR_S)
    reconnect.opened(10.0)
    assert reconnect.delay(wish, now=10.0 + GOOD_S) == asked


@pytest.mark.parametrize(("asked", "given"), [(0.0, 0.0), (3.25, 3.25), (1e300, MAX_RETRY_AFTER_S)])
def test_the_servers_wish_comes_first_within_reason(asked: float, given: float) -> None:
    reconnect = Reconnect(random.Random(1), started=0.0)
    reconnect.opened(-60.0)
    wish = Failure("1012", GONE, retry=True, retry_after_s=asked)
    assert reconnect.delay(wish, now=1.0) == given
    assert reconnect.delay(wish, now=1.0) <= 1.0, (
        "only for the first try: then the server may be gone for good"
    )


def test_what_trying_again_cannot_mend_is_final_at_any_time() -> None:
    reconnect = Reconnect(random.Random(1), started=0.0, wait_s=60.0)
    reconnect.opened(0.0)
    with pytest.raises(CliError, match="gone"):
        reconnect.delay(Failure("1008", GONE, retry=False, retry_after_s=1.0), now=0.0)
