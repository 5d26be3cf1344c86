"""The built distribution: what it carries, and that it runs in an empty environment elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT


def run(*command: str | Path, cwd: Path, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COVERAGE", "RTCLI"))}
    environment["XDG_STATE_HOME"] = str(cwd / "state")
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "hatchling", "build", "-d", out, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    return out


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def test_wheel_carries_scenarios_and_web_files(distributions: Path) -> None:
    names = set(zipfile.ZipFile(only(distributions, "*.whl")).namelist())
    bundled = {f"rtcli/scenarios/{p.name}" for p in (ROOT / "scenarios").glob("*.yaml")}
    pages = (ROOT / "server" / "rtcli_server" / "web").iterdir()
    web = {p.relative_to(ROOT / "server").as_posix() for p in pages if p.is_file()}
    assert len(bundled) == 7
    assert web >= {"rtcli_server/web/index.html", "rtcli_server/web/rtclient.js"}
    assert bundled | web <= names
    assert not any(name.startswith("tests/") for name in names)


def test_sdist_builds_the_same_wheel(distributions: Path, tmp_path: Path) -> None:
    with tarfile.open(only(distributions, "*.tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    built = run(
        sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "again", cwd=source
    )
    assert built.returncode == 0, built.stderr
    first = zipfile.ZipFile(only(distributions, "*.whl")).namelist()
    assert sorted(zipfile.ZipFile(only(tmp_path / "again", "*.whl")).namelist()) == sorted(first)


@pytest.mark.timeout(300)
def test_wheel_in_an_empty_environment_runs_a_load_test(distributions: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    binaries = tmp_path / "env" / "bin"
    # Versions from the lock file, but only what the wheel itself asks for: a missing dependency shows.
    lock = (ROOT / "requirements.lock").read_text()
    pins = [line.rstrip(" \\") for line in lock.splitlines() if line[:1].isalnum()]
    (tmp_path / "pins.txt").write_text("\n".join(pins))
    wheel = only(distributions, "*.whl")
    pip: list[str | Path] = [
        binaries / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    installed = run(*pip, "--constraint", "pins.txt", wheel, cwd=tmp_path, timeout_s=240)
    assert installed.returncode == 0, installed.stderr

    # A file and a folder of the user's own with our server's name must not be started instead of it.
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "server").mkdir(parents=True)
    for file in ("server.py", "server/__init__.py", "scenarios.py"):
        (elsewhere / file).write_text("raise SystemExit('the wrong file was started')\n")
    commands: list[list[str | Path]] = [[binaries / "rtcli"], [binaries / "python", "-m", "rtcli"]]
    for command in commands:
        out = elsewhere / f"results-{len(command)}"
        done = run(*command, "loadtest", "smoke", "--serve", "--out", out, cwd=elsewhere)
        assert done.returncode == 0, done.stdout + done.stderr
        summary = json.loads((out / "summary.json").read_text())
        assert summary["verdict"] == "passed"
        counts = summary["audit"]["counts"]
        assert counts["expected"] == counts["delivered"] > 0
        assert (counts["lost"], counts["duplicate"], counts["reordered"]) == (0, 0, 0)
