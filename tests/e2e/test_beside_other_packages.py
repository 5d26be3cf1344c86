"""A project that has packages of its own named `server`, `scenarios`, `tests` and `benchmarks` keeps them.

The wheel is installed into an environment of its own, and the project is used as its developers would use it:
under pytest, with our command, with our router in its application, and inside the load tester's workers.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.support.wheel import built, run

__all__ = ["built"]

pytestmark = pytest.mark.timeout(300)  # the first test of a run installs the wheel and what it needs

NAMES = ("server", "scenarios", "tests", "benchmarks")
CHECK = "\n".join(
    [
        *(f"import {name}" for name in NAMES),
        f"assert {{module.OWNER for module in ({', '.join(NAMES)})}} == {{'the project'}}",
        "",
    ]
)
TEST = f"""
def test_own_packages():
    import rtcli_server, rtcli.cli.app
    {CHECK.replace(chr(10), chr(10) + "    ")}
"""
MAIN = f"""
from fastapi import FastAPI
from rtcli_server import Settings, realtime_router
{CHECK}
app = FastAPI()
app.include_router(realtime_router(Settings(secrets=("at-least-thirty-two-bytes-of-secret",))))

@app.get("/owner")
async def owner():
    return server.OWNER
"""
ADAPTER = f"""
from pathlib import Path
from rtcli.load.adapters import RtcliWs
{CHECK}
class Own(RtcliWs):
    def __init__(self, target):
        super().__init__()
        Path("seen-by-a-worker").write_text(server.__file__)
"""
SCENARIO = """
name: own
target: { protocol: own }
phases: [{ name: steady, for: 2s }]
roles:
  reader:
    users: 4
    flow: [connect, { join: lobby }, hold]
  writer:
    users: 2
    flow: [connect, { join: lobby }, { send: { room: lobby, rate: 5/s } }]
"""


@pytest.fixture(params=["module", "package"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A project whose `server` is a file, or a folder; its adapter is known as an installed one is."""
    for name in NAMES:
        if name == "server" and request.param == "module":
            (tmp_path / "server.py").write_text("OWNER = 'the project'\n")
        else:
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text("OWNER = 'the project'\n")
    (tmp_path / "tests" / "test_own.py").write_text(TEST)
    (tmp_path / "main.py").write_text(MAIN)
    (tmp_path / "own_adapter.py").write_text(ADAPTER)
    (tmp_path / "own.yaml").write_text(SCENARIO)
    metadata = tmp_path / "own_project-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: own-project\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[rtcli.adapters]\nown = own_adapter:Own\n")
    return tmp_path


@pytest.mark.parametrize("module", [True, False], ids=["python -m pytest", "pytest"])
def test_its_own_tests_import_its_own_packages(built: Path, project: Path, module: bool) -> None:
    binaries = built / "env" / "bin"
    command = [binaries / "python", "-m", "pytest"] if module else [binaries / "pytest"]
    done = run(*command, "-q", "-p", "no:cacheprovider", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_a_load_test_and_its_workers_do(built: Path, project: Path) -> None:
    python = built / "env" / "bin" / "python"
    arguments = ("loadtest", "own.yaml", "--serve", "--workers", "2", "--out", "results")
    done = run(python, "-m", "rtcli", *arguments, cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads((project / "results" / "summary.json").read_text())["audit"]["counts"]
    assert counts["expected"] == counts["delivered"] > 0
    assert Path((project / "seen-by-a-worker").read_text()).is_relative_to(project)


def test_the_installed_command_takes_nothing_from_the_current_directory(built: Path, project: Path) -> None:
    for name in ("yaml.py", "uvloop.py", "fastapi.py"):
        (project / name).write_text("raise SystemExit('a file of the project was run')\n")
    command = built / "env" / "bin" / "rtcli"
    done = run(command, "loadtest", "smoke", "--serve", "--out", "results", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def address(built: Path, project: Path) -> Iterator[str]:
    """The project's application under uvicorn."""
    port = free_port()
    command: list[str | Path] = [
        built / "env" / "bin" / "uvicorn",
        "main:app",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]
    process = subprocess.Popen(command, cwd=project)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: process.poll() is not None or _answers(url))
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_an_application_with_our_router_does(address: str) -> None:
    assert httpx.get(f"{address}/owner").json() == "the project"
