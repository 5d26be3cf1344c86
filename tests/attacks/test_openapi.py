"""What the OpenAPI description allows, and what it forbids: no answer comes that is not in it, and no 5xx.

schemathesis runs as a command, in a directory of its own, since that is how its findings are repeated.
"""

from __future__ import annotations

import asyncio
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.support.attacks.target import StartTarget
from tests.support.clients.peers import token
from tests.support.servers.watch import log_is_clean, serves_a_good_client

SCHEMATHESIS = str(Path(sysconfig.get_path("scripts")) / "schemathesis")
# JSON Schema cannot say what is refused anywhere in a body: NUL, lone surrogates, a name that occurs twice,
# depth. Nor that names of rooms are in NFC. So some bodies that follow the description are answered with 400.
NOT_CHECKED = "positive_data_acceptance"
STREAMS = {None: "/sse/stream$", "admin": "/stream$"}  # they do not end by themselves
EVERY_DAY, SOAK = 15, 1_000  # requests of each kind for each operation


@pytest.mark.parametrize("scope", STREAMS)
async def test_nothing_undocumented_comes_and_no_5xx(
    start_target: StartTarget, tmp_path: Path, soak: bool, scope: str | None
) -> None:
    target = await start_target()
    command = [SCHEMATHESIS, "run", f"{target.url}/openapi.json", "--checks", "all", "--no-color"]
    command += ["--exclude-checks", NOT_CHECKED, "--exclude-path-regex", STREAMS[scope]]
    command += ["--max-examples", f"{SOAK if soak else EVERY_DAY}", *([] if soak else ["--seed", "1"])]
    if scope is not None:
        command += ["--header", f"Authorization: Bearer {token('7', scope=scope)}"]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    await serves_a_good_client(target)
    log_is_clean(target)
