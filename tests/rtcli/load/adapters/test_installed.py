"""Adapters that other packages bring: docs/examples/rtcli-stomp against a STOMP broker; and broken ones."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.paths import ROOT
from tests.support.processes.rtcli import PYTHON, rtcli
from tests.support.servers.foreign import node_server

EXAMPLE = ROOT / "docs" / "examples" / "rtcli-stomp"
FLAKY = """
  flaky:
    users: 5
    flow:
      - connect
      - join: lobby
      - loop: [{ hold: "uniform(300ms, 600ms)" }, { kill: fin }, { backoff: exp(200ms..400ms) }, resume]
  odd: { users: 2, flow: [connect, { join: "a:b\\\\c" }, { send: { room: "a:b\\\\c", rate: 5/s } }] }
  mover:
    users: 2
    flow: [connect, { loop: [{ join: lobby }, { think: 300ms }, { leave: lobby }, { think: 200ms }] }]
"""
SHORT = ("--set", "phases.steady.for=3s", "--set", "phases.gather.for=500ms")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the example installed in it, as pip does it."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([PYTHON, "-m", "pip", "install", *options, "--target", folder, EXAMPLE], check=True)
    return folder


def loadtest(site: Path, home: Path, *arguments: str) -> CompletedProcess[bytes]:
    return rtcli("loadtest", *arguments, home=home, env={"PYTHONPATH": str(site)})


@pytest.mark.system
async def test_the_example_works_against_a_broker(site: Path, tmp_path: Path) -> None:
    async with node_server("stomp_server.mjs") as url:
        result = loadtest(site, tmp_path, str(EXAMPLE / "chat.yaml"), "--url", url, "--json", *SHORT)
    assert result.returncode == 0, result.stderr.decode() + result.stdout.decode()[:1000]
    summary = json.loads(result.stdout)
    counts = summary["audit"]["counts"]
    assert summary["protocol"] == "stomp"
    assert counts["acknowledged"] == counts["sent"] > 20
    assert counts["expected"] == counts["delivered"] == counts["sent"] * 22


@pytest.mark.system
async def test_what_the_broker_loses_on_a_reconnect_is_named(site: Path, tmp_path: Path) -> None:
    text = (EXAMPLE / "chat.yaml").read_text()
    (tmp_path / "flaky.yaml").write_text(text.replace("thresholds:", FLAKY.lstrip("\n") + "thresholds:"))
    async with node_server("stomp_server.mjs") as url:
        result = loadtest(site, tmp_path, "flaky.yaml", "--url", url, "--json", *SHORT)
    assert result.returncode == 98, result.stderr
    audit = json.loads(result.stdout)["audit"]
    assert {(it["kind"], it["subscriber"].split()[0]) for it in audit["violations"]} == {
        ("resume_gap", "flaky")
    }
    rooms = {it["room"] for it in audit["violations"]}
    assert rooms == {"lobby"}


@pytest.mark.system
async def test_a_broker_that_refuses_is_heard(site: Path, tmp_path: Path) -> None:
    text = (EXAMPLE / "chat.yaml").read_text().replace("{ room: lobby", "{ room: forbidden")
    (tmp_path / "refused.yaml").write_text(text)
    async with node_server("stomp_server.mjs") as url:
        result = loadtest(site, tmp_path, "refused.yaml", "--url", url, "--json", *SHORT)
    summary = json.loads(result.stdout)
    assert summary["metrics"]["errors{code:forbidden}"]["count"] > 0
    assert summary["audit"]["counts"]["expected"] == 0


def test_what_is_installed_is_listed_with_ours(site: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text(
        (EXAMPLE / "chat.yaml").read_text().replace("protocol: stomp", "protocol: stamp")
    )
    result = loadtest(site, tmp_path, "odd.yaml", "--dry-run")
    assert result.returncode == 2
    line = "'stamp' is not possible here; did you mean 'stomp'?; there are: rtcli, sse, json, stomp"
    assert line in result.stderr.decode()
    without = rtcli("loadtest", "odd.yaml", "--dry-run", home=tmp_path)
    assert "'stamp' is not possible here; there are: rtcli, sse, json" in without.stderr.decode()
    schema = rtcli("scenario", "schema", home=tmp_path, env={"PYTHONPATH": str(site)})
    assert '"stomp"' in schema.stdout.decode()


BROKEN = {
    "missing": (
        "import nowhere_to_be_found",
        "cannot be loaded: ModuleNotFoundError: No module named 'nowhere_",
    ),
    "nothing": ("", "cannot be loaded: AttributeError"),
    "function": ("def Adapter(target): ...", "odd_adapter:Adapter is no adapter: a class with `transport`"),
    "transport": (
        "class Adapter:\n transport = 'udp'",
        "is no adapter: a class with `transport`, which is ws or sse",
    ),
    "made": (
        "class Adapter:\n transport = 'ws'\n def __init__(self): ...",
        "cannot be made: TypeError: Adapter.__init__() takes 1 positional argument but 2 were given",
    ),
    "lacks": (
        "class Adapter:\n transport = 'ws'\n greets = acks = False\n def __init__(self, target): ...",
        "lacks confirms, confirms_leaves, headers, hello, join, leave, parse, resumes, send, subprotocols",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_adapter_that_cannot_be_used_is_two_lines_and_exit_2(tmp_path: Path, name: str) -> None:
    source, said = BROKEN[name]
    info = tmp_path / "odd_adapter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-adapter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rtcli.adapters]\nodd = odd_adapter:Adapter\n")
    (tmp_path / "odd_adapter.py").write_text(source)
    text = (EXAMPLE / "chat.yaml").read_text().replace("protocol: stomp", "protocol: odd")
    (tmp_path / "odd.yaml").write_text(text)
    result = loadtest(tmp_path, tmp_path, "odd.yaml", "--url", "http://127.0.0.1:9")
    lines = result.stderr.decode().splitlines()
    assert result.returncode == 2, lines
    assert said in lines[0]
    assert lines[-1].startswith("hint: ")
    assert "Traceback" not in result.stderr.decode()
