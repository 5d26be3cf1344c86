"""Who lives, and who is dead beyond doubt."""

from __future__ import annotations

from rtcli_server.cluster.membership import MAX_DEAD, ClusterMembership


def test_an_instance_is_dead_when_two_heartbeats_in_a_row_did_not_find_it() -> None:
    membership = ClusterMembership()
    assert membership.on_heartbeat(frozenset({"me", "you"})) == []
    assert membership.on_heartbeat(frozenset({"me"})) == []
    assert not membership.dead
    assert membership.on_heartbeat(frozenset({"me"})) == ["you"]
    assert list(membership.dead) == ["you"]
    assert membership.on_heartbeat(frozenset({"me"})) == []


def test_one_that_was_only_cut_off_is_not() -> None:
    membership = ClusterMembership()
    membership.on_heartbeat(frozenset({"me", "you"}))
    membership.on_heartbeat(frozenset({"me"}))
    assert membership.on_heartbeat(frozenset({"me", "you"})) == []
    assert membership.on_heartbeat(frozenset({"me"})) == []
    assert not membership.dead


def test_one_that_is_observed_but_was_never_alive_here_is_watched_too() -> None:
    membership = ClusterMembership()
    membership.on_heartbeat(frozenset({"me"}))
    membership.observe({"me", "stranger"})
    assert membership.on_heartbeat(frozenset({"me"})) == []
    membership.observe({"stranger"})  # being observed again does not restart the count
    assert membership.on_heartbeat(frozenset({"me"})) == ["stranger"]
    membership.observe({"stranger"})
    assert membership.on_heartbeat(frozenset({"me"})) == []


def test_the_dead_may_come_back() -> None:
    membership = ClusterMembership()
    membership.on_heartbeat(frozenset({"me", "you"}))
    for _ in range(2):
        membership.on_heartbeat(frozenset({"me"}))
    assert list(membership.dead) == ["you"]
    membership.on_heartbeat(frozenset({"me", "you"}))
    assert not membership.dead


def test_only_the_latest_dead_are_remembered() -> None:
    membership = ClusterMembership()
    membership.observe(str(number) for number in range(MAX_DEAD + 6))
    membership.on_heartbeat(frozenset())
    assert len(membership.on_heartbeat(frozenset())) == MAX_DEAD + 6
    assert membership.dead == tuple(str(number) for number in range(6, MAX_DEAD + 6))
