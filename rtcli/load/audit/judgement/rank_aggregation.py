"""The order that a set of receivers agrees with best, for rooms whose protocol gives no positions.

If the sequences do not contradict one another, the result has all of them as subsequences, whatever the guess
was: somebody is out of order only where "came before" has a cycle. Inside such a cycle the majority decides,
by moving single messages as long as that puts fewer pairs the wrong way round (local search for the order
with the fewest inversions: Kemeny, "Mathematics without numbers", 1959).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

_MOST_COMPARISONS = 20_000_000  # seconds of work; a larger cycle keeps the guessed order
_MOST_ROUNDS = 10

Sequences = Mapping[tuple[int, ...], int]
"""Sequences of items in the order seen, each with the number of receivers (or the weight) that saw it."""


def agreed_order(guess: Sequence[int], seen: Sequences) -> list[int]:
    """Order the items of `guess` so that the fewest of the sequences are contradicted."""
    guessed = {item: place for place, item in enumerate(guess)}
    order: list[int] = []
    for cycle in _cycles(guess, seen):
        order.extend(_settle(sorted(cycle, key=guessed.__getitem__), seen) if len(cycle) > 1 else cycle)
    return order


def _cycles(guess: Sequence[int], seen: Sequences) -> list[list[int]]:
    """The strongly connected components of "came before", in topological order (Kosaraju)."""
    following: dict[int, set[int]] = {item: set() for item in guess}
    preceding: dict[int, set[int]] = {item: set() for item in guess}
    for sequence in seen:
        for earlier, later in pairwise(sequence):
            following[earlier].add(later)
            preceding[later].add(earlier)
    visited: set[int] = set()
    finished = [item for root in guess for item in _reached(root, following, visited)]
    visited = set()
    parts = (_reached(root, preceding, visited) for root in reversed(finished))
    return [part for part in parts if part]


def _reached(root: int, links: Mapping[int, Iterable[int]], visited: set[int]) -> list[int]:
    """The unvisited items that can be reached from `root`, in post-order."""
    if root in visited:
        return []
    visited.add(root)
    finished: list[int] = []
    path = [(root, iter(links[root]))]
    while path:
        item, rest = path[-1]
        ahead = next((other for other in rest if other not in visited), None)
        if ahead is None:
            finished.append(item)
            path.pop()
        else:
            visited.add(ahead)
            path.append((ahead, iter(links[ahead])))
    return finished


def _settle(order: list[int], seen: Sequences) -> list[int]:
    """Order the members of a cycle: each goes where the fewest pairs are the wrong way round."""
    inside = set(order)
    within = [
        (tuple(item for item in sequence if item in inside), weight) for sequence, weight in seen.items()
    ]
    if len(order) ** 2 + sum(len(sequence) ** 2 for sequence, _ in within) > _MOST_COMPARISONS:
        return order
    before = {item: dict.fromkeys(order, 0) for item in order}
    for sequence, weight in within:
        for place, item in enumerate(sequence):
            votes = before[item]
            for later in sequence[place + 1 :]:
                votes[later] += weight
    for _ in range(_MOST_ROUNDS):
        moved = [_move(item, order, before) for item in list(order)]
        if not any(moved):
            break
    return order


def _move(item: int, order: list[int], before: Mapping[int, Mapping[int, int]]) -> bool:
    """Move an item to its best place; False when it is there already."""
    place = order.index(item)
    order.remove(item)
    against, best, least = 0, place, 0  # pairs the wrong way round, against those at its old place
    for target in range(place, len(order)):
        other = order[target]
        against += before[item][other] - before[other][item]
        if against < least:
            best, least = target + 1, against
    against = 0
    for target in range(place - 1, -1, -1):
        other = order[target]
        against += before[other][item] - before[item][other]
        if against < least:
            best, least = target, against
    order.insert(best, item)
    return best != place
