"""The built distribution: what it carries, and that it runs in an environment where nothing else is."""

from __future__ import annotations

import json
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.wheel import built, only, run

__all__ = ["built"]

pytestmark = pytest.mark.timeout(300)  # the first test of a run installs the wheel and what it needs


def test_the_wheel_installs_two_packages_and_nothing_generic(built: Path) -> None:
    names = zipfile.ZipFile(only(built / "dist", "*.whl")).namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert top == {"rtcli", "rtcli_server"}


def test_the_wheel_carries_scenarios_and_web_files(built: Path) -> None:
    names = set(zipfile.ZipFile(only(built / "dist", "*.whl")).namelist())
    bundled = {f"rtcli/scenarios/{path.name}" for path in (ROOT / "scenarios").glob("*.yaml")}
    pages = (ROOT / "server" / "rtcli_server" / "web").iterdir()
    web = {path.relative_to(ROOT / "server").as_posix() for path in pages if path.is_file()}
    assert len(bundled) == 7
    assert web >= {"rtcli_server/web/index.html", "rtcli_server/web/rtclient.js"}
    assert bundled | web <= names


def test_the_sdist_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    with tarfile.open(only(built / "dist", "*.tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    again = run(
        sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "again", cwd=source
    )
    assert again.returncode == 0, again.stderr
    first = zipfile.ZipFile(only(built / "dist", "*.whl")).namelist()
    assert sorted(zipfile.ZipFile(only(tmp_path / "again", "*.whl")).namelist()) == sorted(first)


def test_the_wheel_in_an_empty_environment_runs_a_load_test(built: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    command = built / "env" / "bin" / "rtcli"
    done = run(command, "loadtest", "smoke", "--serve", "--out", out, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert summary["verdict"] == "passed"
    counts = summary["audit"]["counts"]
    assert counts["expected"] == counts["delivered"] > 0
    assert (counts["lost"], counts["duplicate"], counts["reordered"]) == (0, 0, 0)
