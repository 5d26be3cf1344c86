"""No secret in any output: a canary wherever a token can be given, then every byte is searched for it."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from rtcli.protocol.tokens import create_token
from tests.support.clients.canary import visit
from tests.support.ports import free_port
from tests.support.processes.command import Command
from tests.support.processes.rtcli import rtcli
from tests.support.servers.foreign_server import ASGI_SERVERS, application
from tests.support.waiting import wait_until

CANARY = "canary-7f3e9a"
SECRET = f"{CANARY}-secret-of-more-than-32-bytes"


def good_token() -> str:
    return create_token(
        SECRET, sub="7", now=time.time(), ttl_s=86_400, name="Ann", scope="admin", token_id="t-1"
    )


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_server_tells_no_secret(tmp_path: Path, log_format: str) -> None:
    secret_file, ready, port = tmp_path / "secret", tmp_path / "ready", free_port()
    secret_file.write_text(SECRET)
    secret_file.chmod(0o600)
    arguments = ("--port", str(port), "--secret-file", str(secret_file), "--log-format", log_format)
    server = Command("serve", "-v", *arguments, "--ready-file", str(ready), home=tmp_path)
    try:
        wait_until(ready.exists, "the server's start")
        good = good_token()
        for token in (good, good[:-3] + "xyz", f"{CANARY}.{CANARY}.{CANARY}", CANARY):
            visit(port, token)
        server.signal(signal.SIGTERM)
        assert server.end() == 0
    finally:
        server.kill()
    output = (server.out + server.err).decode()
    assert CANARY not in output
    for part in good.split("."):
        assert part not in output
    assert "connection_id" in output
    assert "rejected" in output
    if log_format == "json":
        lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        assert {"connected", "gone"} <= {line["message"] for line in lines}
        assert all(line["ts"].endswith("Z") for line in lines)


APPLICATION = f"""
import logging
from fastapi import FastAPI, Request
from rtcli_server import Settings, realtime_router

app = FastAPI()
app.include_router(realtime_router(Settings(secrets=({SECRET!r},))))

@app.middleware("http")
async def log_urls(request: Request, call_next):
    logging.getLogger("application").warning("asked for %s by %s", request.url, dict(request.headers))
    return await call_next(request)
"""
VERBOSE = {
    "uvicorn": ("--log-level", "trace", "--no-use-colors"),
    "hypercorn": (
        *("--log-level", "DEBUG", "--access-logfile", "-", "--error-logfile", "-"),
        *("--access-logformat", '%(h)s "%(R)s" %(s)s %({authorization}i)s %({cookie}i)s'),
    ),
}


@pytest.mark.parametrize("server", ASGI_SERVERS)
def test_an_application_with_our_router_tells_no_secret(tmp_path: Path, server: str) -> None:
    """Its own lines, those of the ASGI server, and ours: all that is written to the terminal."""
    good = good_token()
    with application(tmp_path, APPLICATION, server, *VERBOSE[server]) as running:
        for token in (good, CANARY):
            visit(running.port, token)
    output = running.output.replace(f"http://{CANARY}.example", "")  # an origin, as the server logs it
    for part in (CANARY, *good.split(".")):
        assert part not in output
    # It was given, and logged by both: without the filter it would be there.
    assert "/api/v1/ws?token=[redacted]" in running.output
    assert "asked for http://127.0.0.1" in running.output


def test_the_commands_tell_no_secret(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(good_token())
    (tmp_path / "secret").write_text(SECRET)
    url = f"http://127.0.0.1:{free_port()}"
    for command in (("chat",), ("tail-events",), ("publish",), ("kick", "7"), ("revoke", "token")):
        for option, name in (("--token-file", "token"), ("--secret-file", "secret")):
            done = rtcli(*command, "-v", "--url", url, option, name, home=tmp_path, stdin="x\n")
            output = (done.stdout + done.stderr).decode()
            assert done.returncode == 3, output
            assert CANARY not in output
            assert good_token().rpartition(".")[2] not in output
