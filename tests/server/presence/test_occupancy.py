"""Occupancy: by user, not by connection."""

from __future__ import annotations

import pytest

from rtcli_server.delivery.channel import Channel, Subscription
from rtcli_server.presence.occupancy import Occupancy
from tests.support.fakes.fanout import FakeSubscriber


@pytest.fixture
def occupancy() -> Occupancy:
    return Occupancy()


def subscription() -> Subscription:
    return Subscription(Channel("room:a"), FakeSubscriber())


def test_the_first_connection_of_a_user_is_new_and_the_last_one_is_told(occupancy: Occupancy) -> None:
    first, second = subscription(), subscription()
    assert occupancy.add("a", "7", "Ann", first)
    assert not occupancy.add("a", "7", "Anna", second)
    assert not occupancy.discard("a", "7", first)
    assert occupancy.discard("a", "7", second)
    assert occupancy.rooms() == {"a": 1}, "until it is removed"
    assert occupancy.remove("a", "7") == "Anna"
    assert occupancy.rooms() == {}


def test_a_connection_is_the_last_one_once(occupancy: Occupancy) -> None:
    only = subscription()
    occupancy.add("a", "7", "Ann", only)
    assert occupancy.discard("a", "7", only)
    assert not occupancy.discard("a", "7", only)
    assert not occupancy.discard("nowhere", "7", only)


def test_users_are_listed_in_order_and_counted_beyond_the_limit(occupancy: Occupancy) -> None:
    for number in range(5):
        occupancy.add("a", str(number), f"user {number}", subscription())
    occupants, count = occupancy.occupants("a", 3)
    assert [occupant.user_id for occupant in occupants] == ["0", "1", "2"]
    assert count == 5
    assert occupancy.occupants("b", 3) == ([], 0)
    assert len(occupancy.subscriptions_of("a", "2")) == 1
    assert occupancy.subscriptions_of("a", "9") == ()
    assert occupancy.name_of("a", "2") == "user 2"
    assert occupancy.name_of("a", "9") is None
    assert occupancy.names("a") == {str(number): f"user {number}" for number in range(5)}
    assert occupancy.has_users("a")
    assert not occupancy.has_users("b")
