"""Presence: by user, silent second tabs, a grace period after a loss."""

from __future__ import annotations

import pytest
from rtcli_server.delivery.channel import Channel, Subscription
from rtcli_server.presence.local import Occupant, Presence
from rtcli_server.timing.timer_wheel import TimerWheel

from tests.support.fakes.fanout import FakeSubscriber


@pytest.fixture
def left() -> list[Occupant]:
    return []


@pytest.fixture
def wheel() -> TimerWheel:
    return TimerWheel(0.0)


@pytest.fixture
def presence(wheel: TimerWheel, left: list[Occupant]) -> Presence:
    return Presence(wheel, grace_s=5.0, on_left=left.append)


def subscription() -> Subscription:
    return Subscription(Channel("room:a"), FakeSubscriber())


def test_the_first_connection_of_a_user_is_new_and_the_last_one_leaves(presence: Presence) -> None:
    first, second = subscription(), subscription()
    assert presence.enter("a", "7", "Ann", first)
    assert not presence.enter("a", "7", "Ann", second)
    assert presence.leave("a", "7", first) is None
    gone = presence.leave("a", "7", second)
    assert gone is not None
    assert (gone.room, gone.user_id, gone.name) == ("a", "7", "Ann")
    assert presence.rooms() == {}


def test_leaving_twice_is_leaving_once(presence: Presence) -> None:
    only = subscription()
    presence.enter("a", "7", "Ann", only)
    assert presence.leave("a", "7", only) is not None
    assert presence.leave("a", "7", only) is None
    presence.lose("a", "7", only, 0.0)
    assert presence.leave("nowhere", "7", only) is None


def test_a_lost_user_stays_for_the_grace_period(
    presence: Presence, wheel: TimerWheel, left: list[Occupant]
) -> None:
    lost = subscription()
    presence.enter("a", "7", "Ann", lost)
    presence.lose("a", "7", lost, 0.0)
    wheel.advance(4.0)
    assert presence.rooms() == {"a": 1}
    assert left == []
    wheel.advance(6.0)
    assert [occupant.user_id for occupant in left] == ["7"]
    assert presence.rooms() == {}


def test_one_who_comes_back_was_never_gone(
    presence: Presence, wheel: TimerWheel, left: list[Occupant]
) -> None:
    lost, back = subscription(), subscription()
    presence.enter("a", "7", "Ann", lost)
    presence.lose("a", "7", lost, 0.0)
    assert not presence.enter("a", "7", "Anna", back)
    wheel.advance(60.0)
    assert left == []
    assert [occupant.name for occupant in presence.occupants("a", 10)[0]] == ["Anna"]
    presence.lose("a", "7", back, 60.0)
    wheel.advance(66.0)
    assert len(left) == 1


def test_members_are_listed_in_order_and_counted_beyond_the_limit(presence: Presence) -> None:
    for number in range(5):
        presence.enter("a", str(number), f"user {number}", subscription())
    occupants, count = presence.occupants("a", 3)
    assert [occupant.user_id for occupant in occupants] == ["0", "1", "2"]
    assert count == 5
    assert presence.occupants("b", 3) == ([], 0)
    assert len(presence.subscriptions_of("a", "2")) == 1
    assert presence.subscriptions_of("a", "9") == ()
