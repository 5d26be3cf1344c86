"""No secret in any output: a canary wherever a token can be given, then every byte is searched for it."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

from rtcli.protocol.tokens import create_token
from tests.support.ports import free_port
from tests.support.processes.command import Command
from tests.support.processes.rtcli import rtcli
from tests.support.waiting import wait_until

CANARY = "canary-7f3e9a"
SECRET = f"{CANARY}-secret-of-more-than-32-bytes"


def good_token() -> str:
    return create_token(SECRET, sub="7", now=time.time(), ttl_s=86_400, name="Ann", scope="admin")


def visit(port: int, token: str) -> None:
    """Bring the token to every door, in every way."""
    base = f"127.0.0.1:{port}"
    bearer = {"Authorization": f"Bearer {token}"}
    for path in ("/api/v1/ws", "/api/v1/ws/v2", "/api/v1/nothing"):
        for query, headers in (
            (f"?token={token}", {}),
            ("", bearer),
            (f"?token={token}", bearer),
            ("", {"Sec-WebSocket-Protocol": f"rt.v1, bearer.{token}"}),
            ("", {"Sec-WebSocket-Protocol": f"bearer.{token}"}),
            ("", {"Cookie": f"rt_token={token}", "Origin": f"http://{base}"}),
            (f"?token={token}", {"Origin": f"http://{token}.example"}),
        ):
            with (
                contextlib.suppress(InvalidStatus, WebSocketException, TimeoutError),
                connect(f"ws://{base}{path}{query}", additional_headers=headers, proxy=None) as socket,
            ):
                socket.recv(timeout=5)
                socket.send(json.dumps({"type": "refresh", "data": {"token": token}}))
                socket.send(f'{{"token": "{token}", broken')
                socket.recv(timeout=5)
    with httpx.Client(base_url=f"http://{base}", trust_env=False, timeout=10) as client:
        for path in ("/api/v1/rooms", "/nothing", "/api/v1/batch", "/api/v1/sse/stream/x", "/metrics"):
            for query, headers in (
                (f"?token={token}", {}),
                ("", bearer),
                ("", {"Cookie": f"rt_token={token}"}),
            ):
                client.get(path + query, headers=headers)
                client.post(path + query, headers=headers, json={"token": token})
        with client.stream("GET", f"/api/v1/events/stream?room=a&token={token}") as stream:
            next(stream.iter_raw(), None)


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


def test_the_commands_tell_no_secret(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(good_token())
    (tmp_path / "secret").write_text(SECRET)
    url = f"http://127.0.0.1:{free_port()}"
    for command in ("chat", "tail-events", "publish"):
        for option, name in (("--token-file", "token"), ("--secret-file", "secret")):
            done = rtcli(command, "-v", "--url", url, option, name, home=tmp_path, stdin="x\n")
            output = (done.stdout + done.stderr).decode()
            assert done.returncode == 3, output
            assert CANARY not in output
            assert good_token().rpartition(".")[2] not in output
