"""A table of ways in which deployments fail: each is red for its own reason, with the right figures.

The table (`tests/support/load/ways_to_fail.py`) says what the text and JUnit must show of each; against the
same deployment without its fault, the same scenario is green. An everyday session takes each way once,
`--soak` all combinations.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from rtcli.errors import Exit
from rtcli.load.reporters import text
from rtcli.load.reporters.headline import sentence
from rtcli.load.results.model import RunResult
from tests.support.load import own_health
from tests.support.load.deployments import Target, WhenAllAreThere
from tests.support.load.reports import excused, figures, missing, said_in_junit
from tests.support.load.runs import run
from tests.support.load.ways_to_fail import CASES, EVERYTHING_COMES, RECEIVERS, USERS, WAYS, Figure, Way

TRANSPORTS, WORKERS = ("ws", "sse"), (1, 2)
COMBINATIONS = list(product(TRANSPORTS, WORKERS))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each way once, with one combination after the other; with `--soak`, all combinations of each."""
    soak = metafunc.config.getoption("--soak")
    ways = WAYS
    if "failing" not in metafunc.definition.name and not soak:  # what differs only in its fault is one
        ways = list({(sound(way).scenario("ws"), way.system): way for way in WAYS}.values())
    chosen = [
        pytest.param(
            way if transport == "ws" else replace(way, **way.sse),
            transport,
            workers,
            id=f"{way.name}, {transport}, {workers}",
            marks=[pytest.mark.system] if way.system else [],
        )
        for number, way in enumerate(ways)
        for transport, workers in (COMBINATIONS if soak else [COMBINATIONS[number % len(COMBINATIONS)]])
    ]
    metafunc.parametrize(("way", "transport", "workers"), chosen)


def sound(way: Way) -> Way:
    """The same without its fault: everything comes in the end."""
    return replace(way, settle=EVERYTHING_COMES)


def names(*short: str) -> set[str]:
    """JUnit's names of cases."""
    return {CASES.get(name, name) for name in " ".join(short).split()}


def scaled(figure: Figure, share: float) -> Figure:
    """A number for so much less than all that should be due: writers of a slow machine begin later."""
    return figure if isinstance(figure, range) else round(figure * share)


def agrees(found: int, figure: Figure) -> bool:
    return found in figure if isinstance(figure, range) else found == figure


async def run_way(way: Way, transport: str, workers: int, target: Target) -> RunResult:
    view = None if target.fail is None else WhenAllAreThere(USERS, target.fail)
    return await run(way.scenario(transport), target.url, workers=workers, secret=target.secret, view=view)


async def test_failing_deployments_are_red_for_their_own_reason(
    way: Way, transport: str, workers: int, tmp_path: Path
) -> None:
    async with way.deployment(tmp_path, sound=False) as target:
        result = await run_way(way, transport, workers, target)
    report = text.render(result)
    if not own_health.is_judged(result):
        return
    busy = result.exit_code is Exit.INCONCLUSIVE and result.generator.flagged_seconds > 0
    if way.exit is Exit.THRESHOLD and busy:  # the load generator stood still, too
        way = replace(way, exit=Exit.INCONCLUSIVE, says="could not keep up", fails="fast inconclusive")
    assert result.exit_code is way.exit, report
    assert re.search(way.says, sentence(result)), report
    assert sentence(result) in report
    accounts = figures(report.splitlines()[1])
    assert result.audit is not None
    in_junit, failed, why = said_in_junit(result)
    assert in_junit == accounts
    due = accounts["sends"][1]
    assert way.due / 2 <= due <= way.due, report
    share = (due - excused(result)) / way.due
    for account, (actual, planned) in {
        "users": (way.users, USERS),
        "sends": (scaled(way.accepted, share), due),
        "deliveries": (scaled(way.delivered, share), scaled(way.planned, share)),
    }.items():
        assert agrees(accounts[account][0], actual), (account, report)
        unsure = result.audit.counts["indeterminate"] if account == "deliveries" else 0
        assert agrees(accounts[account][1] + unsure, planned), (account, report)
    assert names(way.fails) <= failed <= names(way.fails, way.may_fail), report
    counts = missing(result)
    for code, count in way.codes.items():
        assert agrees(counts.get(code, 0), count), (code, counts, report)
        assert code in report
        assert code in why


async def test_the_same_deployment_without_its_fault_is_green(
    way: Way, transport: str, workers: int, tmp_path: Path
) -> None:
    async with way.deployment(tmp_path, sound=True) as target:
        result = await run_way(sound(way), transport, workers, target)
    report = text.render(result)
    if not own_health.is_judged(result):
        return
    flagged = way.limits and result.generator.flagged_seconds > 0
    is_judged = not (flagged and result.exit_code is Exit.INCONCLUSIVE)
    if is_judged:  # else the machine was too busy for the threshold
        assert result.exit_code is Exit.OK, report
    due = figures(report.splitlines()[1])["sends"][1]
    assert way.due / 2 <= due <= way.due
    expected = {
        "users": (USERS, USERS),
        "sends": (due, due),
        "deliveries": (due * RECEIVERS, due * RECEIVERS),
    }
    assert figures(report.splitlines()[1]) == expected
    in_junit, failed, _ = said_in_junit(result)
    assert in_junit == expected
    if is_judged:
        assert failed == set()
