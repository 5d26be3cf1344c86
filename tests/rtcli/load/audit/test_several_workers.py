"""Senders and receivers in several workers: the accounts are those of one, whether rooms are told or not."""

from __future__ import annotations

from collections import Counter

import pytest

from rtcli.load.audit.judgement.judge import Account
from tests.support.load.audit_world.book import by_hand, other_loss
from tests.support.load.audit_world.deployment import FAULTS
from tests.support.load.audit_world.records import Named
from tests.support.load.audit_world.world import World, random_world

KINDS = [
    pytest.param(ordered, rooms_told, id=f"{'positions' if ordered else 'arrivals'}-{rooms_told}")
    for ordered in (True, False)
    for rooms_told in (True, False)
]
# Worlds in which messages that nobody sent come before what their sender, who is in another worker, did send:
# they have run out of keys below the invented one, and told a false time of the last message before a loss.
INVENTED = (3365, 9406)


@pytest.fixture
def seeds(soak: bool) -> range:
    return range(10000 if soak else 25)


def without_room(named: Named) -> Named:
    """Where nobody tells the room of a message that was never sent, it cannot be named."""
    found: Named = Counter()
    for (kind, user, room, message), count in named.items():
        found[kind, user, "" if kind == "phantom" else room, message] += count
    return found


def by_place(world: World, named: Named) -> Named:
    """With each message's place among all for its name, which has the number of its log."""
    place = {message.name: str(number) for number, message in enumerate(world.messages)}
    found: Named = Counter()
    for (kind, user, room, message), count in named.items():
        found[kind, user, room, place.get(message, "")] += count
    return found


def figures(world: World, account: Account) -> dict[str, int]:
    """What the accounts of a run are made of."""
    return {
        "delivered": sum(world.counts.values()) - account.not_counted,
        "undelivered": account.undelivered,
        "indeterminate": account.indeterminate,
        "gap_declared": account.gap_declared,
    }


@pytest.mark.parametrize(("ordered", "rooms_told"), KINDS)
def test_nobody_is_accused_wrongly(seeds: range, ordered: bool, rooms_told: bool) -> None:
    for seed in seeds:
        for workers in (1, 2, 3):
            world = random_world(seed, ordered=ordered, faults={}, rooms_told=rooms_told, workers=workers)
            named, account = world.finish()
            truth, counts = by_hand(world)
            assert not truth
            assert not named
            assert figures(world, account) == {
                "delivered": world.counted,
                "undelivered": counts["undelivered"],
                "indeterminate": counts["indeterminate"],
                "gap_declared": counts["gap_declared"],
            }


@pytest.mark.parametrize("rooms_told", [True, False])
def test_every_fault_is_named_and_nothing_else(seeds: range, rooms_told: bool) -> None:
    for seed in seeds:
        for workers in (1, 2, 3):
            world = random_world(seed, ordered=True, faults=FAULTS, rooms_told=rooms_told, workers=workers)
            named, account = world.finish()
            truth, counts = by_hand(world)
            if not rooms_told:
                named, truth = without_room(named), without_room(truth)
            assert named == truth
            ghosts = sum(count for (kind, *_), count in truth.items() if kind == "ghost")
            assert figures(world, account) == {
                "delivered": world.counted - ghosts,
                "undelivered": counts["undelivered"],
                "indeterminate": counts["indeterminate"],
                "gap_declared": counts["gap_declared"],
            }


@pytest.mark.parametrize("rooms_told", [True, False])
def test_without_positions_the_same_is_named(seeds: range, rooms_told: bool) -> None:
    faults = {kind: chance for kind, chance in FAULTS.items() if kind not in {"swap", "swallow"}}
    different, wrong = [], []
    for seed in sorted({*seeds, *INVENTED}):
        found: list[tuple[Named, dict[str, int]]] = []
        for workers in (1, 2, 3):
            world = random_world(seed, ordered=False, faults=faults, rooms_told=rooms_told, workers=workers)
            named, account = world.finish()
            named, truth = without_room(named), without_room(by_hand(world)[0])
            moved = {case for case in named - truth if other_loss(case) in truth - named}
            wrong += [(seed, workers, case) for case in named - truth if case not in moved]
            found.append((by_place(world, named), figures(world, account)))
        if not found[0] == found[1] == found[2]:
            different.append(seed)
    assert not different
    assert not wrong
