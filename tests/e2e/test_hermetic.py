"""The suite depends on nothing that its session inherits: some of it runs in the worst of surroundings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

NOBODY = "http://127.0.0.1:9"
HOSTILE = {
    **dict.fromkeys(
        ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"), NOBODY
    ),
    **dict.fromkeys(("LANG", "LC_ALL"), "C"),
    **dict.fromkeys(("NO_COLOR", "FORCE_COLOR", "CI", "PYTHONUNBUFFERED"), "1"),
    "GITHUB_ACTIONS": "true",
    "TERM": "dumb",
    "COLUMNS": "40",
    "TZ": "Asia/Kathmandu",
    "XDG_STATE_HOME": "/proc",
    "PYTHONWARNINGS": "ignore",
    "SSL_CERT_FILE": "/proc/none",
    "RTCLI_URL": NOBODY,
    "RTCLI_TOKEN": "none",
    "RTCLI_SERVER_PORT": "9",
}
# What each of the conditions has broken, and what asks for the time, the width, colours, a home, a network.
TESTS = (
    "tests/rtcli/cli/test_signals.py::test_hangup",
    "tests/rtcli/terminal",
    "tests/rtcli/client/test_secret_files.py",
    "tests/rtcli/cli/commands/test_publish.py::test_the_development_key_is_found",
    "tests/e2e/test_cli.py::test_help_lists_every_command_with_a_line",
    "tests/server/api/test_routes.py",
)
# What asks for a home.
TESTS_WITH_HOME = (
    "tests/rtcli/client/test_secret_files.py",
    "tests/rtcli/cli/commands/test_publish.py::test_the_development_key_is_found",
)
READ_ONLY = "/proc"  # even for root
# nohup, a background job of a shell, and somebody who forgot to wait for children.
IGNORING = "trap '' HUP INT QUIT CHLD; umask 077; exec \"$@\""
LEAVES_SOMETHING = """
import subprocess, tempfile

def test_careless():
    subprocess.Popen(["sleep", "60"], start_new_session=True)
    tempfile.mkstemp(prefix="forgotten-")
"""


def run_pytest(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in the folder, without a home unless `environment` has one."""
    kept = {name: value for name, value in os.environ.items() if name != "HOME"}
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    return subprocess.run(
        ["sh", "-c", IGNORING, "-", *command, "--basetemp", str(folder / "temporary"), *arguments],
        cwd=folder,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_it_passes_in_hostile_surroundings(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, *(f"{ROOT}/{test}" for test in TESTS), **HOSTILE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]


def test_it_passes_where_the_home_is_read_only(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, *(f"{ROOT}/{test}" for test in TESTS_WITH_HOME), HOME=READ_ONLY)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_tests_leave_behind_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_careless.py").write_text(LEAVES_SOMETHING)
    done = run_pytest(tmp_path, "-p", "tests.conftest", "-c", os.devnull, "--rootdir", str(tmp_path))
    assert done.returncode == 1, done.stdout + done.stderr
    (told,) = [line for line in done.stdout.splitlines() if line.startswith("E       AssertionError")]
    assert "sleep 60" in told
    assert "forgotten-" in told
    process = int(told.partition("left behind by tests: ")[2].partition(":")[0])
    os.kill(process, 9)
