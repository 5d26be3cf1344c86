"""The lines of docs/compare.md: ours work as they stand, and for no job are they the longest."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Awaitable
from pathlib import Path

import pytest

from tests.support.fakes.echo_websocket import echo_websocket
from tests.support.fakes.scripted_stream import HEAD, fake_stream, status
from tests.support.paths import ROOT
from tests.support.processes.rtcli import RTCLI, environment

PAGE = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
# What stdout or stderr has in it, where an exit code of 0 says too little.
SHOWS = {
    "send a message": "hi\n",
    "send lines": "one\ntwo\n",
    "wait for a message": "ready\n",
    "send bytes": "00ff\n",
    "a file as one message": "image of bytes",
    "how long": "-- pong after ",
    "the handshake": "< HTTP/1.1 101 ",
    "a JSON record": '"opcode":"text","bytes":2,"data":"hi"',
    "follow, also": "some data",
    "go on where": "some data",
    "the answer of": "some data\n",
    "a command for": "some data",
}


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    table = PAGE.partition(f"## {heading}\n")[2].strip().partition("\n\n")[0]
    return [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table.splitlines()[2:]
    ]


def line_of(cell: str) -> str:
    return cell.split("`")[1]


WEBSOCKET, STREAM = rows("Any WebSocket"), rows("Any event stream")


def run(line: str, home: Path, url: str) -> subprocess.CompletedProcess[str]:
    bin_path = f"{Path(RTCLI).parent}:{environment(home)['PATH']}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=home,
        env=environment(home, PATH=bin_path, U=url, E=url),
        timeout=30,
        check=False,
    )


def judge(job: str, done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, (job, done.stderr)
    shown = next((text for begin, text in SHOWS.items() if job.startswith(begin)), "")
    assert shown in done.stdout + done.stderr, job


def files(home: Path) -> None:
    """What the lines read."""
    (home / "lines").write_text("one\ntwo\n")
    (home / "login").write_text("quiet login\n")
    (home / "image").write_text("image of bytes")
    (home / "ca.pem").write_text("")
    (home / "auth").write_text("Authorization: Basic dTpw\n")
    (home / "q").write_text("{}")


def run_for_websocket(row: list[str], home: Path) -> None:
    with echo_websocket() as echo:
        echo.greeting = "ready" if "ready" in row[1] else ""
        judge(row[0], run(line_of(row[1]), home, echo.url))


async def run_for_stream(row: list[str], home: Path) -> None:
    async with fake_stream(HEAD + b"retry: 1\nid: 1\ndata: some data\n\n", status(204)) as stream:
        judge(row[0], await asyncio.to_thread(run, line_of(row[1]), home, stream.url))


async def test_every_line_of_ours_does_its_job(tmp_path: Path) -> None:
    files(tmp_path)
    many = asyncio.Semaphore(4)  # most of them wait for most of their time

    async def one(running: Awaitable[None]) -> None:
        async with many:
            await running

    lines = [asyncio.to_thread(run_for_websocket, row, tmp_path) for row in WEBSOCKET]
    await asyncio.gather(*map(one, [*lines, *(run_for_stream(row, tmp_path) for row in STREAM)]))


@pytest.mark.parametrize("row", WEBSOCKET + STREAM, ids=lambda row: row[0])
def test_ours_is_never_the_longest(row: list[str]) -> None:
    others = [len(line_of(cell)) for cell in row[2:] if cell != "–"]
    assert not others or len(line_of(row[1])) <= max(others)


def test_every_line_that_shows_something_is_there() -> None:
    jobs = [row[0] for row in WEBSOCKET + STREAM]
    assert all(any(job.startswith(begin) for job in jobs) for begin in SHOWS)
