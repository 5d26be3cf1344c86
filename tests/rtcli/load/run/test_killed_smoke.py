"""`smoke` against a server that is killed: never green, whenever it dies."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from typing_extensions import override

from rtcli.errors import Exit
from rtcli.load.reporters import text
from rtcli.load.run.coordinator import ProgressView, RunState
from tests.support.load.runs import run
from tests.support.paths import ROOT
from tests.support.servers.server_process import SECRET, ServerProcess

SMOKE = (ROOT / "scenarios" / "smoke.yaml").read_text()
MOMENTS = [number / 2 for number in range(12)]  # seconds of the run, which takes 6


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Two of the moments; all of them with `--soak`."""
    metafunc.parametrize("moment", MOMENTS if metafunc.config.getoption("--soak") else [1.5, 5.5])


class At(ProgressView):
    """Calls a function at a moment of the run."""

    def __init__(self, moment: float, call: Callable[[], None]) -> None:
        self._moment = moment
        self._call = call
        self._is_set = False

    @override
    def show(self, state: RunState) -> None:
        if not self._is_set:
            self._is_set = True
            asyncio.get_running_loop().call_later(max(0.0, self._moment - state.now()), self._call)


async def test_smoke_is_never_green_when_the_server_is_killed(moment: float, tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    await server.start()
    try:
        kill = At(moment, lambda: server.signal(signal.SIGKILL))
        result = await run(SMOKE, server.url, secret=SECRET, view=kill)
    finally:
        server.kill()
    report = text.render(result)
    assert result.exit_code is Exit.AUDIT, report
    assert result.accounts is not None
    users, sends = result.accounts.users, result.accounts.sends
    assert (users.present, users.planned) == (0, 27), report
    assert sum(item.count for item in users.shortfalls if item.kind == "absent") == 27
    assert ("of 45 messages" in report) is (sends.due == 45)
    assert (sends.accepted < sends.due) is (moment < 5), report
    assert "${" not in report
