from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import psutil
import pytest

from tests.support.processes.command import Run
from tests.support.waiting import wait_until


def test_the_demo_shows_everything_and_ends_by_itself(run: Run, tmp_path: Path) -> None:
    demo = run("demo", "--out", str(tmp_path / "out"))
    assert demo.end() == 0, demo.err
    lines = demo.out.decode().splitlines()
    assert not any("\x1b" in line for line in lines), "no colours in a pipe"
    heard = [line.split()[2] for line in lines if "Hi Bob, is the deploy done?" in line]
    assert heard == ["ann", "bob", "tail"]
    assert [line for line in lines if re.search(r"bob +-- lost \(1006\)", line)]
    assert [line for line in lines if re.search(r"bob +-- back after", line)]
    caught_up = [line for line in lines if re.search(r"bob +sees +ann: (Then I release it|Done!)", line)]
    assert len(caught_up) == 2
    assert re.fullmatch(
        r"passed: (\d+) of \1 users · (\d+) of \2 messages · "
        r"([\d ]+) of \3 deliveries(?: \(\d+ cannot be told\))?; "  # some, on a busy machine
        r"0 lost, 0 duplicate, 0 reordered",
        lines[-3],
    )
    report = Path(lines[-1].removeprefix("report: "))
    assert report.exists()
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["verdict"] == "passed"


@pytest.mark.parametrize("moment", ["rtcli serve:", "a load test"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_can_be_stopped_at_each_stage_and_leaves_nothing(
    run: Run, tmp_path: Path, moment: str, number: int, code: int
) -> None:
    demo = run("demo", env={"TMPDIR": str(tmp_path)})
    demo.wait_for(moment)
    started = psutil.Process(demo.process.pid).children(recursive=True)
    demo.signal(number)
    assert demo.end() == code
    wait_until(lambda: not any(child.is_running() and child.status() != "zombie" for child in started))
    if moment != "a load test":  # whose results stay
        assert list(tmp_path.glob("rtcli-demo-*")) == []


def test_a_directory_that_cannot_be(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    demo = run("demo", "--out", str(tmp_path / "file" / "x"))
    assert demo.end() == 2
    assert len(demo.err.splitlines()) == 2
