"""The measuring itself: what it says of a server that is held, filled or not given back what it gave."""

from __future__ import annotations

import asyncio
import signal

import httpx
import pytest

from tests.support.attacks import table
from tests.support.attacks.figures import MIB, Bounds, Cost
from tests.support.attacks.measure import Measure
from tests.support.attacks.target import Kind, StartTarget, Target
from tests.support.clients.peers import token

GOOD = Cost(
    attack="a",
    target="picows",
    connections=50,
    peak_bytes=50 * MIB,
    after_bytes=0,
    held_s=0.1,
    descriptors=0,
    places_lost=0,
    log_bytes=0,
)


async def hold_and_fill(target: Target, measure: Measure) -> None:
    """Stop the process for half a second, and fill its log with 13 MB."""
    bounds = Bounds(after_bytes=100 * MIB)
    async with measure(target, "held and filled", connections=1, bounds=bounds):
        target.signal(signal.SIGSTOP)
        await asyncio.sleep(0.5)
        target.signal(signal.SIGCONT)
        headers = {"Authorization": f"Bearer {token('writer', scope='publish')}"}
        async with httpx.AsyncClient(base_url=target.url, headers=headers, timeout=30) as http:
            for part in range(30):
                content = {"content": f"{part}".ljust(9_000, "x")}
                batch = {"publications": [{"room": f"r{n}", **content} for n in range(50)]}
                assert (await http.post("/api/v1/batch", json=batch)).status_code == 200


@pytest.mark.parametrize("kind", Kind)
async def test_what_holds_the_loop_and_fills_the_memory_is_seen(
    start_target: StartTarget, kind: Kind
) -> None:
    costs: list[Cost] = []
    target = await start_target(kind)
    with pytest.raises(AssertionError, match="seconds for which the loop was held"):
        await hold_and_fill(target, Measure(costs.append))
    (cost,) = costs
    assert cost.held_s > 0.4
    assert cost.peak_bytes > 10 * MIB
    assert cost.after_bytes > 10 * MIB  # the log has it
    assert (cost.descriptors, cost.places_lost) == (0, 0)


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("peak_bytes", 51 * MIB),
        ("after_bytes", 17 * MIB),
        ("held_s", 0.3),
        ("descriptors", 1),
        ("places_lost", 1),
        ("log_bytes", MIB),
    ],
)
def test_each_figure_has_its_bound(field: str, more: float) -> None:
    assert GOOD.beyond(Bounds()) == []
    assert len(Cost(**{**GOOD.as_dict(), field: more}).beyond(Bounds())) == 1  # type: ignore[arg-type] # by name


def test_the_table_has_a_row_for_each_cost() -> None:
    properties = [("other", 1), table.encode(GOOD)]
    head, rule, row = table.render(table.decode(properties))
    assert row == "| a | picows | 50 | 50.0 | 1024 | 0.0 | 100 ms | nothing |"
    assert head.count("|") == rule.count("|") == row.count("|")
    assert table.render([]) == []
