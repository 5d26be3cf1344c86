"""The built distributions, and an environment with the wheel: made once for all processes of a test run."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.paths import ROOT


def run(*command: str | Path, cwd: Path, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a command to its end as in a fresh shell: nothing of Python's, coverage's or our own settings."""
    dropped = ("PYTHON", "COVERAGE", "RTCLI")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
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


def only(folder: Path, pattern: str) -> Path:
    """Give the one path that matches."""
    (found,) = folder.glob(pattern)
    return found


def _make(folder: Path) -> None:
    built = run(sys.executable, "-m", "hatchling", "build", "-d", folder / "dist", cwd=ROOT)
    assert built.returncode == 0, built.stderr
    # Versions from the lock file, but only what the wheel itself asks for: a missing dependency shows.
    lock = (ROOT / "requirements.lock").read_text()
    pins = [line.rstrip(" \\") for line in lock.splitlines() if line[:1].isalnum()]
    (folder / "pins.txt").write_text("\n".join(pins))
    venv.create(folder / "env", with_pip=True)
    pip: list[str | Path] = [
        folder / "env" / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    wheel = only(folder / "dist", "*.whl")
    installed = run(*pip, "--constraint", "pins.txt", wheel, "pytest", cwd=folder, timeout_s=240)
    assert installed.returncode == 0, installed.stderr


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `dist/` (wheel and sdist) and `env/` (an environment with the wheel and pytest alone)."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # one for all processes of this run
    folder = shared / "built-wheel"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            _make(folder)
            (folder / "made").touch()
    return folder
