"""What the `log` steps of a scenario write is shown as it comes, and is part of the result."""

from __future__ import annotations

import pytest

from rtcli.load.reporters import text
from rtcli.load.reporters.html.page import render
from rtcli.load.results.model import LogLine
from rtcli.load.results.summary import decode, encode
from rtcli.load.run.coordinator import RunState
from rtcli.load.run.health.processor_time import TakenTime
from rtcli.load.run.messages import Tick
from rtcli.load.run.progress import LogView, SilentProgress
from tests.support.fakes.faulty_server.server import faulty_server
from tests.support.load.runs import new_state, run

LOG = """
    name: log
    phases: [{ name: run, for: 700ms }]
    roles:
      reader:
        users: 3
        flow:
          - connect
          - log: "<b>${user.name}</b> is in"
          - { loop: [{ think: 200ms }, { log: "round ${loop}" }] }
"""


async def test_log_steps_are_shown_and_in_every_result() -> None:
    shown: list[str] = []
    async with faulty_server() as server:
        result = await run(LOG, server.url, workers=2, view=LogView(SilentProgress(), shown.append))
    lines = [(line.user, line.text) for line in result.log]
    assert {user for user, _ in lines} == {"reader 1", "reader 2", "reader 3"}
    assert ("reader 2", "<b>reader 2</b> is in") in lines
    assert ("reader 3", "round 1") in lines
    assert [line.time for line in result.log] == sorted(line.time for line in result.log)
    assert sorted(shown) == sorted(map(str, result.log))
    report = text.render(result)
    assert str(result.log[-1]) in report
    assert f"and {len(lines) - 5} more before" in report
    assert "&lt;b&gt;reader 2&lt;/b&gt; is in" in render(result)
    assert decode(encode(result)).log == list(result.log)


def tick(lines: int) -> Tick:
    log = tuple((0.001 * number, "reader 1", str(number)) for number in range(lines))
    return Tick({}, 1, 1, 0.0, 1, (), TakenTime(0.0, 0.0), log, {})


@pytest.mark.parametrize("lines", [0, 3, 1_200])
def test_each_line_is_shown_once_and_the_latest_are_kept(lines: int) -> None:
    state: RunState = new_state(LOG)
    shown: list[str] = []
    view = LogView(SilentProgress(), shown.append)
    state.add_tick(0, tick(lines))
    view.show(state)
    view.show(state)
    kept = min(lines, 1_000)
    assert (len(shown), len(state.log), state.logged) == (kept, kept, lines)
    state.add_tick(0, tick(1))
    view.show(state)
    assert shown[-1] == str(LogLine(0.0, "reader 1", "0"))
    assert len(shown) == kept + 1
