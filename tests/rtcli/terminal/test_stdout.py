from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Writes 1 MB while a ticker of the same loop counts; stderr has how often it ticked.
PROGRAM = """
import asyncio, sys
from rtcli.terminal.console import console
from rtcli.terminal.stdout import write_stdout

async def main():
    ticks = 0
    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)
            if ticks == 5:
                print("ticked", file=sys.stderr, flush=True)
    ticking = asyncio.ensure_future(tick())
    await write_stdout(console, bytes(range(256)) * 4000)
    ticking.cancel()

asyncio.run(main())
"""


def test_the_loop_goes_on_while_nobody_reads() -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=-1, stderr=-1)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stderr.readline() == b"ticked\n"
    assert process.poll() is None, "it waits for its reader"
    data = process.stdout.read()
    assert process.wait(20) == 0
    assert data == bytes(range(256)) * 4000
    process.stdout.close()
    process.stderr.close()


@pytest.mark.parametrize("kind", ["file", "terminal"])
def test_all_of_it_arrives(tmp_path: Path, kind: str) -> None:
    if kind == "file":
        with (tmp_path / "out").open("wb") as file:
            subprocess.run([sys.executable, "-c", PROGRAM], stdout=file, check=True, timeout=30)
        assert (tmp_path / "out").read_bytes() == bytes(range(256)) * 4000
        return
    ours, theirs = os.openpty()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    count = 0
    try:
        while chunk := os.read(ours, 65_536):
            count += len(chunk)
    except OSError:  # Linux: the other side was closed
        pass
    os.close(ours)
    assert process.wait(20) == 0
    assert count >= 256 * 4000


def test_a_reader_that_goes() -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=-1, stderr=-1)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.wait(20) == 1
    assert b"StdoutClosedError" in process.stderr.read()
    process.stderr.close()
