"""The server of `--serve`: `rtcli serve` in a process of its own, on a free port, for this run alone.

So load generator and server do not share an interpreter. The server gets a secret made for the run, and no
limits on rates and connections unless the scenario sets them (`target: serve:`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rtcli.errors import CliError, Exit
from rtcli.interpreter import module_command
from rtcli.load.net.source_addresses import raise_descriptor_limit

_START_S = 20.0
_END_S = 15.0
_PR_SET_PDEATHSIG = 1
_NO_LIMITS = {
    "rate_limit_per_s": "off",
    "user_connections": "off",
    "address_connections": "off",
    "node_connections": "1000000",
}


@dataclass(frozen=True, slots=True)
class OwnServer:
    """The address of a server, and the secret that signs its users' tokens."""

    url: str
    secret: str
    pid: int


def server_environment(env: Mapping[str, str], settings: Mapping[str, object], secret: str) -> dict[str, str]:
    """The environment of the server: the scenario's settings, else no limits; no setting from `env`."""
    own = {name: value for name, value in env.items() if not name.startswith("RTCLI_")}
    for name, value in {**_NO_LIMITS, **settings}.items():
        text = " ".join(map(str, value)) if isinstance(value, list | tuple) else _text(value)
        own[f"RTCLI_SERVER_{name.upper()}"] = text
    own["RTCLI_SERVER_SECRETS"] = secret
    return own


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "off" if value is None else str(value)


@contextlib.asynccontextmanager
async def own_server(env: Mapping[str, str], settings: Mapping[str, object]) -> AsyncIterator[OwnServer]:
    """Run a server until the block ends. Raises CliError (6) when it does not come up."""
    secret = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory(prefix="rtcli-loadtest-") as directory:
        ready = Path(directory) / "url"
        process = await asyncio.create_subprocess_exec(
            *module_command("rtcli.load.run.own_server", str(ready)),
            env=server_environment(env, settings, secret),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C is for the load test, which ends this one itself
        )
        log: list[bytes] = []
        reading = asyncio.create_task(_read_log(process, log))
        try:
            url = await _wait_ready(process, ready, log)
            yield OwnServer(url, secret, process.pid)
        finally:
            await _end(process)
            await reading


async def _read_log(process: asyncio.subprocess.Process, log: list[bytes]) -> None:
    """Read the server's log, so that its pipe does not fill up; keep the last 20 lines."""
    assert process.stderr is not None  # noqa: S101 - asked for
    while line := await process.stderr.readline():
        log.append(line)
        del log[:-20]


async def _wait_ready(process: asyncio.subprocess.Process, ready: Path, log: list[bytes]) -> str:
    deadline = asyncio.get_running_loop().time() + _START_S
    while asyncio.get_running_loop().time() < deadline and process.returncode is None:
        with contextlib.suppress(OSError):
            url = ready.read_text().strip()  # noqa: ASYNC240 - a few bytes in our own directory
            if url:
                return url
        await asyncio.sleep(0.01)
    last = b"".join(log).decode("utf-8", "replace").strip().splitlines()
    raise CliError(
        f"the server of --serve did not start{': ' + last[0] if last else ''}",
        hint="does `rtcli serve --port 0` work? see also `target: serve:` in the scenario",
        exit_code=Exit.SERVER,
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _END_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def main() -> None:
    """Become `rtcli serve --port 0 --ready-file FILE`, which ends when the process that started it does.

    PR_SET_PDEATHSIG outlives execve(2): see prctl(2).
    """
    raise_descriptor_limit()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == 1:
            return
    serve = ["serve", "--port", "0", "--drain-timeout", "3s", "--ready-file", sys.argv[1]]
    os.execv(sys.executable, module_command("rtcli", *serve))  # noqa: S606 - our own command


if __name__ == "__main__":
    main()
