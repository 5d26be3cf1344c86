"""What reports say of the load generator's own health, and of runs whose rows are longer than a second."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcli.load.reporters import text
from rtcli.load.reporters.html import page
from rtcli.load.reporters.html.plots import condense
from rtcli.load.results import summary
from rtcli.load.results.model import Generator, RunResult
from tests.support.load.sample_results import passing

SICK = Generator(
    workers=2,
    stalls=3,
    stall_s=0.025,
    lag_p99=0.0012,
    loop_lag_p99=0.034,
    flagged_seconds=4,
    stolen_s=1.5,
    throttled_s=0.25,
)


def sick(generator: Generator = SICK) -> RunResult:
    return replace(passing(), generator=generator)


def test_the_text_says_how_late_the_generator_was_and_who_took_its_time() -> None:
    shown = text.render(sick())
    assert "sent on time within 1.2 ms (99 %), received within 34 ms" in shown
    assert "3 stalls of more than 25 ms, 4 of 12 seconds in which it was the bottleneck" in shown
    assert "1.5 s taken by the hypervisor, 250 ms held back by a quota of its control group" in shown


def test_the_little_that_every_machine_takes_is_not_worth_a_line() -> None:
    shown = text.render(sick(replace(SICK, stolen_s=0.1, throttled_s=0.0)))
    assert "hypervisor" not in shown
    assert "quota" not in shown


def test_the_page_says_the_same() -> None:
    shown = page.render(sick())
    assert "99 % late by at most 34 ms, 3 stalls of more than 25 ms" in shown
    assert "1.5 s taken by the hypervisor" in shown
    assert "all that it asked for" in page.render(passing())


def test_the_document_keeps_it() -> None:
    assert summary.decode(summary.encode(sick())).generator == SICK


@pytest.mark.parametrize("seconds", [1, 120])
def test_rates_are_per_second_however_long_a_row_is(seconds: int) -> None:
    (row, *_) = passing().timeline
    rows = [
        replace(row, time=number * seconds, sent=5 * seconds, received=45 * seconds, seconds=seconds)
        for number in range(720)
    ]
    points, step = condense(rows)
    assert (len(points), step) == (240, 3 * seconds)
    assert {(point.sent, point.received) for point in points} == {(5, 45)}
    assert f">{720 * seconds} s<" in page.render(replace(passing(), timeline=rows))
