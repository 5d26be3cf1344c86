"""Who lives, and who is dead beyond doubt."""

from __future__ import annotations

from rtcli_server.cluster.membership import MAX_DEAD, Census


def test_an_instance_is_dead_when_two_beats_in_a_row_did_not_find_it() -> None:
    census = Census()
    assert census.beaten(frozenset({"me", "you"})) == []
    assert census.beaten(frozenset({"me"})) == []
    assert not census.dead
    assert census.beaten(frozenset({"me"})) == ["you"]
    assert list(census.dead) == ["you"]
    assert census.beaten(frozenset({"me"})) == []


def test_one_that_was_only_cut_off_is_not() -> None:
    census = Census()
    census.beaten(frozenset({"me", "you"}))
    census.beaten(frozenset({"me"}))
    assert census.beaten(frozenset({"me", "you"})) == []
    assert census.beaten(frozenset({"me"})) == []
    assert not census.dead


def test_one_that_is_met_but_was_never_alive_here_is_watched_too() -> None:
    census = Census()
    census.beaten(frozenset({"me"}))
    census.met({"me", "stranger"})
    assert census.beaten(frozenset({"me"})) == []
    census.met({"stranger"})  # being met again does not begin the count anew
    assert census.beaten(frozenset({"me"})) == ["stranger"]
    census.met({"stranger"})
    assert census.beaten(frozenset({"me"})) == []


def test_the_dead_may_come_back() -> None:
    census = Census()
    census.beaten(frozenset({"me", "you"}))
    for _ in range(2):
        census.beaten(frozenset({"me"}))
    assert list(census.dead) == ["you"]
    census.beaten(frozenset({"me", "you"}))
    assert not census.dead


def test_only_the_latest_dead_are_remembered() -> None:
    census = Census()
    census.met(str(number) for number in range(MAX_DEAD + 6))
    census.beaten(frozenset())
    assert len(census.beaten(frozenset())) == MAX_DEAD + 6
    assert census.dead == tuple(str(number) for number in range(6, MAX_DEAD + 6))
