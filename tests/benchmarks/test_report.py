"""From samples to the page: medians, ratios, targets, and what is said when something is missing."""

import doctest
import importlib
from pathlib import Path

import pytest

from benchmarks.cases import ROOMS
from benchmarks.client.jobs import Result
from benchmarks.report import page
from benchmarks.results import Row, Table, read, write
from benchmarks.stats import middle, percentile, ratio, spread
from benchmarks.table_specs import TABLE_SPECS
from benchmarks.tables import at_the_limit, judgement, ratios_text, table_text, unaccounted, value_of
from benchmarks.targets import TARGETS, PerformanceTarget

CASE = ROOMS[100]


def row(subject: str, *rates: float, share: float = 0.5, expected: int = 100) -> Row:
    rounds = [Result(per_second=rate, client_share=share, delivered=100, expected=expected) for rate in rates]
    return Row(CASE, subject, rounds)


def table(*rows: Row, failed: list[str] | None = None) -> Table:
    return Table(
        "fanout", "2026-01-01T00:00:00Z", {"rounds": "3"}, {"cores": "2"}, {"ws": "8"}, [*rows], failed or []
    )


@pytest.mark.parametrize(
    "module",
    ["client.frames", "client.readings", "generators.__main__", "machine", "report", "stats", "tables"],
)
def test_the_examples_in_the_docstrings_hold(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"benchmarks.{module}"))
    assert found.attempted
    assert not found.failed


def test_medians_spreads_percentiles_and_ratios() -> None:
    assert middle([3.0, 1.0, 2.0]) == 2.0
    assert spread([90.0, 100.0, 110.0]) == pytest.approx(0.1)
    assert spread([0.0]) == 0.0
    assert percentile([], 0.99) == 0.0
    assert percentile(list(range(1, 101)), 0.99) == 99
    assert ratio([2.0], [4.0]) == 0.5
    assert ratio([], [4.0]) is None
    assert ratio([2.0], [0.0]) is None


def test_ratios_and_figures_of_a_table() -> None:
    measured = table(row("Bun", 200, 100, 300), row("rtcli", 400, 300, 500))
    assert "| room of 100 | 2× |" in ratios_text(measured)
    assert "| rtcli | 400 ± 25 % |" in table_text(measured)


def test_a_table_survives_its_file(tmp_path: Path) -> None:
    measured = table(row("Bun", 1.5), failed=["room of 10, ws: gone"])
    write(measured, tmp_path)
    assert read("fanout", tmp_path) == measured
    assert read("limits", tmp_path) is None


@pytest.mark.parametrize(
    ("value", "said"), [(None, "not measured"), (0.5, "missed"), (0.75, "acceptable"), (1.2, "goal")]
)
def test_a_target_where_more_is_better(value: float | None, said: str) -> None:
    assert judgement(PerformanceTarget("", "", "", "", acceptable=0.75, goal=1.2), value) == said


@pytest.mark.parametrize(("value", "said"), [(15.0, "missed"), (14.0, "acceptable"), (8.0, "goal")])
def test_a_target_where_less_is_better(value: float, said: str) -> None:
    assert judgement(PerformanceTarget("", "", "", "", acceptable=14, goal=8), value) == said


def test_a_target_may_be_a_ratio_to_a_peer_to_ourselves_or_a_figure() -> None:
    measured = table(row("Bun", 100), row("rtcli", 150))
    quantity = ("fanout", CASE, "per_second")
    assert value_of(PerformanceTarget("", *quantity, 1, 2, theirs="Bun"), measured) == 1.5
    assert value_of(PerformanceTarget("", *quantity, 1, 2, base=CASE), measured) == 1.0
    assert value_of(PerformanceTarget("", *quantity, 1, 2, scale=1e-3), measured) == pytest.approx(0.15)
    assert value_of(PerformanceTarget("", *quantity, 1, 2, theirs="ws"), measured) is None
    assert value_of(PerformanceTarget("", *quantity, 1, 2), None) is None


def test_every_target_names_a_table_and_a_quantity_that_exist() -> None:
    fields = Result.__struct_fields__
    for target in TARGETS:
        assert target.table in TABLE_SPECS
        assert target.quantity in fields
    for spec in TABLE_SPECS.values():
        assert {column.quantity for column in spec.columns} <= set(fields)
        assert set(spec.compared) <= {column.quantity for column in spec.columns}


def test_the_page_says_what_was_lost_missed_limited_or_not_measured() -> None:
    measured = table(
        row("Bun", 1_000, share=0.99),
        row("rtcli", 100, expected=101),
        failed=["room of 10, ws: did not come up"],
    )
    assert at_the_limit(measured) == ["room of 100: Bun"]
    assert unaccounted(measured) == ["room of 100, rtcli: 100 of 101"]
    text = page({"fanout": measured}, "## fanout\nWhy it was missed.\n## other\nnot this\n")
    assert "| deliveries/s, room of 100, against Bun | ≥ 0.75× | ≥ 1.20× | 0.10× | **missed** |" in text
    assert "not measured" in text
    for said in (
        "Load client at its limit",
        "100 of 101",
        "did not come up",
        "Why it was missed.",
        "cores: 2",
    ):
        assert said in text
    assert "not this" not in text
