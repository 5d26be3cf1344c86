"""The costs of all attacks of a run, in one table: as a row of `docs/reliability.md` can be made of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from tests.support.attacks.figures import MIB, Cost

PROPERTY = "cost of an attack"  # of a test's report: it comes through from other processes of the run
HEAD = (
    "attack",
    "target",
    "connections",
    "MiB at the peak",
    "KiB each",
    "MiB after",
    "loop held",
    "left behind",
)


def encode(cost: Cost) -> tuple[str, str]:
    """A property of a test that a report can carry."""
    return PROPERTY, json.dumps(cost.as_dict())


def decode(properties: Iterable[tuple[str, object]]) -> Iterator[Cost]:
    """The costs among the properties of a test."""
    for name, value in properties:
        if name == PROPERTY:
            yield Cost(**json.loads(str(value)))


def render(costs: Iterable[Cost]) -> list[str]:
    """The lines of a Markdown table; none without an attack."""
    rows = [_row(cost) for cost in sorted(costs, key=lambda cost: (cost.attack, cost.target))]
    if not rows:
        return []
    return [_line(HEAD), _line(["---"] * len(HEAD)), *map(_line, rows)]


def _row(cost: Cost) -> list[str]:
    left = {"descriptors": cost.descriptors, "places": cost.places_lost}
    return [
        cost.attack,
        cost.target,
        f"{cost.connections:,}".replace(",", " "),
        f"{cost.peak_bytes / MIB:.1f}",
        f"{cost.peak_bytes / 1024 / cost.connections:.0f}",
        f"{cost.after_bytes / MIB:.1f}",
        f"{cost.held_s * 1000:.0f} ms",
        ", ".join(f"{count} {what}" for what, count in left.items() if count) or "nothing",
    ]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
