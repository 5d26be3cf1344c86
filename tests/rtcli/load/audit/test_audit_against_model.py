"""The audit against plain book-keeping, on random worlds: what is wrong is named, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.load.audit_world.book import by_hand, other_loss
from tests.support.load.audit_world.deployment import FAULTS
from tests.support.load.audit_world.world import World, random_world


@pytest.fixture
def seeds(soak: bool) -> range:
    return range(10000 if soak else 120)


def worlds(seeds: range, *, ordered: bool, faults: dict[str, float]) -> Iterator[World]:
    for seed in seeds:
        yield random_world(seed, ordered=ordered, faults=faults)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_deployment_without_faults_is_never_accused(seeds: range, ordered: bool) -> None:
    for world in worlds(seeds, ordered=ordered, faults={}):
        named, account = world.finish()
        truth, counts = by_hand(world)
        assert not truth
        assert not named
        assert account.indeterminate == counts["indeterminate"]
        assert account.gap_declared == account.undelivered == counts["gap_declared"]
        assert sum(world.counts.values()) == world.counted


def test_every_fault_is_named_and_nothing_else(seeds: range) -> None:
    seen = Counter[str]()
    for world in worlds(seeds, ordered=True, faults=FAULTS):
        named, account = world.finish()
        truth, counts = by_hand(world)
        assert named == truth
        assert account.indeterminate == counts["indeterminate"]
        assert account.gap_declared == counts["gap_declared"]
        assert account.undelivered == counts["undelivered"]
        assert sum(world.counts.values()) == world.counted
        seen.update(kind for kind, *_ in truth)
    assert set(seen) == {
        "lost",
        "duplicate",
        "reordered",
        "leak",
        "phantom",
        "ghost",
        "resume_gap",
        "corrupt",
    }


@pytest.mark.parametrize("kind", sorted(set(FAULTS) - {"ghost"}))
def test_each_fault_by_itself(kind: str) -> None:
    faults = {kind: 0.1} | ({"ghost": 1.0} if kind == "refuse" else {})
    for world in worlds(range(1000, 1030), ordered=True, faults=faults):
        named, _ = world.finish()
        assert named == by_hand(world)[0]


def test_damaged_messages_are_named_and_not_called_lost_too() -> None:
    for ordered in (True, False):
        for world in worlds(range(60), ordered=ordered, faults={"corrupt": 0.05, "alter": 0.05}):
            named, _ = world.finish()
            truth, _ = by_hand(world)
            assert named == truth


def test_without_positions_nobody_is_accused_wrongly(seeds: range) -> None:
    faults = {kind: chance for kind, chance in FAULTS.items() if kind not in {"swap", "swallow"}}
    losses, mistaken = 0, 0
    for world in worlds(seeds, ordered=False, faults=faults):
        named, account = world.finish()
        truth, counts = by_hand(world)
        # Whether a message was there before a connection broke is not certain without positions.
        moved = {case for case in named - truth if other_loss(case) in truth - named}
        assert not {case for case in named - truth if case not in moved}
        unsure = truth - named - Counter(map(other_loss, moved))
        assert {kind for kind, *_ in unsure} <= {"lost", "resume_gap"}  # said to be open, not lost
        excess = account.indeterminate - counts["indeterminate"]
        assert excess <= sum(unsure.values())
        losses += sum(count for case, count in named.items() if case[0] in {"lost", "resume_gap"})
        mistaken += len(moved)
    assert mistaken <= losses / 1000
