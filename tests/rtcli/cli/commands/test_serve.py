"""`rtcli serve` as a process: how it starts, what it refuses, how it ends."""

from __future__ import annotations

import signal
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.clients.raw_http import CLOSE, RawWebSocket, connect, read_response
from tests.support.clients.raw_sse import EventStream
from tests.support.processes.command import Command
from tests.support.processes.rtcli import rtcli

EVERYWHERE = "0.0.0.0"  # noqa: S104 - which is what is refused without a key
SECRET = "a-secret-of-more-than-thirty-two-bytes"


class Server(Command):
    """A server on a free port."""

    def __init__(self, home: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        super().__init__("serve", "--port", "0", *arguments, home=home, env=env)
        self.wait_for("try next", stream="err")
        self.port = int(self.err.decode().partition("listening on ")[2].split()[0].rsplit(":", 1)[1])

    def status(self, path: str) -> int:
        with connect(self.port) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            response = read_response(sock)
            assert response is not None
            return response.status


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start servers; what still runs at the end is killed."""
    servers: list[Server] = []

    def start(*arguments: str, env: dict[str, str] | None = None) -> Server:
        servers.append(Server(tmp_path, *arguments, env=env))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve("--drain-timeout", "3s")


def token(home: Path) -> str:
    return rtcli("token", "create", "--sub", "7", home=home).stdout.decode().strip()


def test_it_needs_nothing_and_says_what_to_try(server: Server, tmp_path: Path) -> None:
    assert server.status("/healthz") == 200
    assert server.status("/readyz") == 200
    assert b"development key" in server.err
    assert b"rtcli chat --room general --url" in server.err
    key = tmp_path / "state" / "rtcli" / "dev-secret"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with RawWebSocket(server.port, f"/api/v1/ws?token={token(tmp_path)}") as ws:
        assert ws.message()["data"]["user_id"] == 7
    server.signal(signal.SIGTERM)
    assert server.end() == 0
    assert server.out == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_it_and_it_ends_with_0(server: Server, tmp_path: Path, number: int) -> None:
    good = token(tmp_path)
    with (
        RawWebSocket(server.port, f"/api/v1/ws?token={good}") as ws,
        EventStream(server.port, bearer=good) as stream,
    ):
        stream.until("ready")
        server.signal(number)
        assert ws.until("closing")["data"]["code"] == 1012
        close = ws.close_frame()
        assert close is not None
        ws.send_frame(CLOSE, close.payload)
        assert stream.json("closing")["retry_after_ms"] == stream.retry_ms
        assert server.end() == 0


def test_a_client_that_does_not_answer_does_not_hold_it(server: Server, tmp_path: Path) -> None:
    with RawWebSocket(server.port, f"/api/v1/ws?token={token(tmp_path)}"):
        server.signal(signal.SIGTERM)
        assert server.end() == 0


def test_a_second_signal_ends_it_at_once(serve: Serve, tmp_path: Path) -> None:
    server = serve("--drain-timeout", "25s")
    with RawWebSocket(server.port, f"/api/v1/ws?token={token(tmp_path)}") as ws:
        server.signal(signal.SIGTERM)
        ws.until("closing")  # and it waits for an answer that does not come
        server.signal(signal.SIGTERM)
        assert server.end() == 128 + signal.SIGTERM


def test_the_ready_file_holds_the_url_while_it_runs(serve: Serve, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    server = serve("--ready-file", str(ready))
    assert ready.read_text() == f"http://127.0.0.1:{server.port}\n"
    server.signal(signal.SIGTERM)
    assert server.end() == 0
    assert not ready.exists()


def test_the_password_of_the_store_is_not_told(serve: Serve, tmp_path: Path) -> None:
    server = serve("--store", "redis://rt:hunter2@127.0.0.1:1")  # where nobody is
    server.signal(signal.SIGTERM)
    assert server.end() == 0
    assert b"(log: redis://rt:[redacted]@127.0.0.1:1)" in server.err
    refused = rtcli("serve", "--store", "radish://rt:hunter2@127.0.0.1:1", home=tmp_path)
    assert refused.returncode == 2
    assert b"radish://rt:[redacted]@127.0.0.1:1" in refused.stderr
    assert b"hunter2" not in server.err + refused.stderr


def test_a_port_in_use_gives_3(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ended = rtcli("serve", "--port", str(other.getsockname()[1]), home=tmp_path)
    assert ended.returncode == 3
    lines = ended.stderr.decode().splitlines()
    assert len(lines) == 2
    assert "in use" in lines[0].lower()
    assert lines[1].startswith("hint: choose another port")


REFUSED = {
    "a public bind without a key": (("--host", EVERYWHERE), "--secret-file"),
    "a name that is no address": (("--host", "nowhere.invalid"), "--secret-file"),
    "an unknown store": (("--store", "mongodb://x"), "--store"),
    "a certificate alone": (("--tls-cert", "x"), "both"),
    "a certificate that is not there": (("--tls-cert", "x", "--tls-key", "y"), "--tls-cert"),
    "a ready file that cannot be": (("--ready-file", "/nowhere/x"), "--ready-file"),
    "no secret in the file": (("--secret-file", "empty"), "keygen"),
    "a key that is none": (("--public-key", "empty"), "keygen"),
    "an origin with a path": (("--origin", "https://a.example/b"), "--origin"),
    "a rate of nothing": (("--rate-limit", "0"), "--help"),
    "no connections": (("--user-connections", "0"), "--help"),
    "two workers": (("--workers", "2"), "redis"),
    "to trust everybody": (("--trusted-proxy", "0.0.0.0/0"), "--help"),
    "to trust a name": (("--trusted-proxy", "proxy.example"), "--help"),
    "history of nothing": (("--history-size", "0"), "rtcli serve -h"),
}


@pytest.mark.parametrize(("arguments", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(tmp_path: Path, arguments: tuple[str, ...], hint: str) -> None:
    (tmp_path / "empty").touch()
    ended = rtcli("serve", "--port", "0", *arguments, home=tmp_path)
    assert ended.returncode == 2
    assert hint in ended.stderr.decode()
    assert "Traceback" not in ended.stderr.decode()
    assert "bug" not in ended.stderr.decode()


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    env = {"RTCLI_SERVER_PORT": "70000", "RTCLI_SERVER_MAX_ROOMS": "none", "RTCLI_SERVER_NONSENSE": "1"}
    ended = rtcli("serve", "--rate-limit", "x", home=tmp_path, env=env)
    assert ended.returncode == 2
    for name in ("port", "max_rooms", "nonsense", "rate_limit_per_s"):
        assert name in ended.stderr.decode()


def test_the_environment_sets_what_no_option_does(serve: Serve, tmp_path: Path) -> None:
    env = {"RTCLI_SERVER_SECRETS": SECRET, "RTCLI_SERVER_HOST": EVERYWHERE, "RTCLI_SERVER_MAX_REPLAY": "5"}
    server = serve(env=env)
    assert b"development key" not in server.err
    assert server.status("/readyz") == 200
    server.signal(signal.SIGTERM)
    assert server.end() == 0
    assert not (tmp_path / "state").exists()


def test_the_password_of_the_log_is_not_told(serve: Serve) -> None:
    server = serve("--store", "redis://rtcli:hunter2@127.0.0.1:1")
    server.signal(signal.SIGTERM)
    assert server.end() == 0
    assert b"redis://rtcli:" in server.err
    assert b"hunter2" not in server.err
