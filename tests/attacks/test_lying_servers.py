"""What servers that lie cost who runs the commands against them: memory, and how they end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.fakes.liars import (
    endless,
    frame_head,
    gzip_bomb,
    head,
    lying_websocket,
    send_frames,
    send_pings_and_never_read,
)
from tests.support.fakes.scripted_stream import HEAD, Answer, fake_stream, status
from tests.support.forged_tokens import forge
from tests.support.ports import free_port
from tests.support.processes.rtcli import RTCLI, environment

MIB = 1_048_576
MAX_BYTES = 32 * MIB  # more than the command needs to say that there is no server
# Runs a command, and writes the most memory that it had into a file. A process knows that of its children; a
# child of the tests would begin with the memory of the tests.
MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))
sys.exit(code)
"""


class Done(NamedTuple):
    """How a command ended, and the most memory that it had."""

    exit_code: int
    stderr: str
    peak_bytes: int


async def run(home: Path, *arguments: str) -> Done:
    """Run a command with a token and one line of stdin."""
    figure = home / "peak"
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-S", "-c", MEASURED, str(figure), RTCLI, *arguments],
        input=b"hello\n",
        capture_output=True,
        env=environment(home, RTCLI_TOKEN=forge()),
        cwd=home,
        timeout=60,
        check=False,
    )
    text = done.stderr.decode()
    assert "Traceback" not in text
    return Done(done.returncode, text, int(figure.read_text()))


TOO_LONG = "an answer of more than 1048576 bytes"
ELSEWHERE = "redirects to another server"
LIES: dict[str, list[tuple[Answer, int, str]]] = {
    "publish": [
        (gzip_bomb(b"["), 6, TOO_LONG),
        (endless(head(), b"x" * 65_536), 6, TOO_LONG),
        (endless(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 999), 3, "does not speak HTTP"),
        (status(307, headers="Location: http://127.0.0.1:9/\r\n"), 6, ELSEWHERE),
    ],
    "kick 7": [
        (gzip_bomb(b"["), 6, "an answer of more than 65536 bytes"),
        (endless(head(), b"x" * 65_536), 6, "an answer of more than 65536 bytes"),
        (status(307, headers="Location: http://127.0.0.1:9/\r\n"), 6, ELSEWHERE),
    ],
    "revoke --jti a": [
        (gzip_bomb(b"["), 6, "an answer of more than 65536 bytes"),
        (status(307, headers="Location: http://127.0.0.1:9/\r\n"), 6, ELSEWHERE),
    ],
    "tail-events": [
        (gzip_bomb(Content_Type="text/event-stream"), 6, "a line of more than 1048576 bytes"),
        (endless(HEAD, b"data: " + b"x" * 9_999 + b"\n"), 6, "an event of more than 4194304 bytes"),
    ],
    "chat": [(status(307, headers="Location: ws://127.0.0.1:9/\r\n"), 6, ELSEWHERE)],
}


async def base_of(command: str, home: Path) -> int:
    """The most memory of a command that finds no server."""
    nobody = await run(home, *command.split(), "--url", f"http://127.0.0.1:{free_port()}")
    assert nobody.exit_code == 3, nobody.stderr
    return nobody.peak_bytes


@pytest.mark.timeout(120)
@pytest.mark.parametrize("command", LIES)
async def test_a_command_stays_small_and_says_what_is_wrong(command: str, tmp_path: Path) -> None:
    base = await base_of(command, tmp_path)
    for lie, exit_code, says in LIES[command]:
        async with fake_stream(lie) as server:
            done = await run(tmp_path, *command.split(), "--url", server.base)
        assert (done.exit_code, says in done.stderr) == (exit_code, True), done
        assert done.peak_bytes - base < MAX_BYTES, (done, base)


@pytest.mark.timeout(120)
async def test_a_chat_with_a_server_that_lies(tmp_path: Path) -> None:
    base = await base_of("chat", tmp_path)
    for then, exit_codes in (
        (send_frames(frame_head(1, 2**40), b"x" * 65_536), {6}),
        (send_frames(frame_head(1, 0, fin=False), frame_head(0, 0, fin=False) * 999), {6}),
        (send_pings_and_never_read, {3, 6}),
    ):
        async with AsyncExitStack() as stack:
            port = await stack.enter_async_context(lying_websocket(then))
            done = await run(tmp_path, "chat", "--url", f"http://127.0.0.1:{port}")
        assert done.exit_code in exit_codes, done
        assert done.peak_bytes - base < MAX_BYTES, (done, base)


SCENARIO = """
name: steps
seed: 1
phases: [{ name: only, for: 1s }]
attendance: off
roles:
  caller: { users: 5, flow: [{ http: { path: "/stream", capture: { it: a } } }, { think: 60s }] }
"""


@pytest.mark.timeout(120)
async def test_a_load_test_of_a_server_that_lies(tmp_path: Path) -> None:
    """As many answers at once as there are users, up to 4 MiB each."""
    file = tmp_path / "steps.yaml"
    file.write_text(SCENARIO)
    peaks = []
    for lie in (head(), gzip_bomb(b"[")):
        async with fake_stream(lie) as server:
            done = await run(tmp_path, "loadtest", str(file), "--url", server.base)
            assert len(server.targets) == 5
        assert done.exit_code in {0, 96}, done
        peaks.append(done.peak_bytes)
    assert peaks[1] - peaks[0] < 2 * MAX_BYTES, peaks
