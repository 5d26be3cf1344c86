"""`rtcli kick` and `rtcli revoke` as they are installed, on a real server."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import httpx
import jwt
import pytest

from rtcli_server.api.revoking import LONGER_MS
from tests.support.clients.raw_http import RawWebSocket
from tests.support.clients.raw_sse import EventStream
from tests.support.clients.rooms import open_ws
from tests.support.ports import free_port
from tests.support.processes.command import Command
from tests.support.processes.rtcli import RTCLI, failed, ok, rtcli
from tests.support.servers.live_server import SECRET, LiveServer, live_server, token


class Deployment:
    """A server, and the home of its administrator, who has the secret."""

    def __init__(self, server: LiveServer, home: Path) -> None:
        self.server = server
        self.home = home
        (home / "secret").write_text(SECRET)
        (home / "secret").chmod(0o600)

    def run(self, command: str, *arguments: str, stdin: str = "") -> CompletedProcess[bytes]:
        where = ("--url", self.server.url, "--secret-file", "secret")
        return rtcli(command, *where, *arguments, home=self.home, stdin=stdin)

    def with_token(self, bearer: str, *arguments: str) -> CompletedProcess[bytes]:
        where = ("--url", self.server.url)
        return rtcli(*arguments, *where, home=self.home, env={"RTCLI_TOKEN": bearer})

    def status(self, bearer: str) -> int:
        headers = {"Authorization": f"Bearer {bearer}"}
        return httpx.get(f"{self.server.url}/api/v1/rooms", headers=headers, trust_env=False).status_code

    def file(self, name: str, content: str) -> str:
        path = self.home / name
        path.write_text(content)
        path.chmod(0o600)
        return name


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with live_server() as server:
        yield Deployment(server, tmp_path)


def refused(done: CompletedProcess[bytes], exit_code: int) -> str:
    """Return the error and the hint, which are all that was said."""
    text = failed(done, exit_code)
    assert (done.stdout, len(text.splitlines())) == (b"", 2)
    return text


def close_of(ws: RawWebSocket) -> tuple[int | None, str]:
    frame = ws.close_frame()
    assert frame is not None
    return frame.code, frame.reason


# -- kick --------------------------------------------------------------------------------------------------


def test_a_kick_closes_everything_that_a_user_has_open(deployment: Deployment) -> None:
    server = deployment.server
    with open_ws(server, "7") as ws, open_ws(server, "8") as other, EventStream(server.port) as stream:
        stream.until("ready")
        assert ok(deployment.run("kick", "7")) == "closed 2\n"
        assert close_of(ws) == (4500, "kicked")
        assert stream.event() is None
        other.send("ping")
        assert other.until("pong")
    assert deployment.status(token("7")) == 200


@pytest.mark.parametrize(("text", "seconds"), [("10m", 600.0), ("30d", 2_592_000.0)])
def test_a_kick_that_keeps_away(deployment: Deployment, text: str, seconds: float) -> None:
    record = json.loads(ok(deployment.run("kick", "7", "--stay-away", text, "--json")))
    assert record == {"type": "kicked", "user": "7", "closed": 0, "stay_away_s": seconds}
    assert deployment.status(token("7")) == 403
    assert deployment.status(token("8")) == 200


@pytest.mark.parametrize("user", ["...", "a%2Fb/c", "../x", "Zoë?x#y", "-7"])
def test_users_with_names_that_paths_read_otherwise(deployment: Deployment, user: str) -> None:
    with open_ws(deployment.server, user) as ws:
        assert ok(deployment.run("kick", "--stay-away", "10m", "--", user)) == "closed 1\n"
        assert close_of(ws) == (4500, "kicked")
    assert deployment.status(token(user)) == 403


# -- revoke ------------------------------------------------------------------------------------------------


def test_a_token_whose_file_is_at_hand(deployment: Deployment) -> None:
    stolen = token("7", token_id="stolen")
    with RawWebSocket(deployment.server.port, f"/api/v1/ws?token={stolen}") as ws:
        assert ws.message()["type"] == "pong"
        out = ok(deployment.run("revoke", deployment.file("t", stolen + "\n")))
        assert close_of(ws) == (4500, "revoked")
    assert out.startswith("revoked until 20")
    kept = deployment.server.ask(lambda realtime: next(iter(realtime._revoked)))
    expires_at = jwt.decode(stolen, options={"verify_signature": False})["exp"]
    assert (kept.subject, kept.until_ms) == ("stolen", (expires_at + 60) * 1000 + LONGER_MS)
    assert deployment.status(stolen) == 401
    assert deployment.status(token("7")) == 200


def test_a_token_from_a_pipe(deployment: Deployment) -> None:
    stolen = token("7", token_id="stolen")
    ok(deployment.run("revoke", "-", stdin=stolen + "\nmore\n"))
    assert deployment.status(stolen) == 401


def test_what_token_create_makes_can_be_revoked(deployment: Deployment) -> None:
    made = json.loads(
        ok(
            rtcli(
                *("token", "create", "--sub", "7", "--secret-file", "secret", "--json"), home=deployment.home
            )
        )
    )
    assert deployment.status(made["token"]) == 200
    ok(deployment.run("revoke", "--jti", made["jti"]))
    assert deployment.status(made["token"]) == 401


def test_a_name_with_a_time(deployment: Deployment) -> None:
    arguments = ("revoke", "--jti", "a", "--until", "2030-05-01T11:30:00+02:00", "--json")
    record = json.loads(ok(deployment.run(*arguments)))
    assert record == {"type": "revoked", "jti": "a", "until": "2030-05-01T09:30:00.000Z"}


def test_all_that_a_user_got(deployment: Deployment) -> None:
    old = token("7")
    ok(deployment.run("revoke", "--user", "7", "--issued-before", "2020-01-01T00:00:00Z"))
    assert deployment.status(old) == 200
    ok(deployment.run("revoke", "--user", "7"))
    assert deployment.status(old) == 401
    time.sleep(1.1)  # `iat` is in whole seconds
    assert deployment.status(token("7")) == 200


# -- what goes wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("kick",), "missing argument 'USER'"),
        (("kick", "7", "--stay-away", "soon"), "--stay-away"),
        (("kick", "7", "--stay-away", "31d"), "--stay-away"),
        (("revoke",), "one token, or one user's tokens"),
        (("revoke", "t", "--jti", "a"), "one token, or one user's tokens"),
        (("revoke", "none"), "no such file"),
        (("revoke", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA"), "can be read by every user"),
        (("revoke", "nameless"), "has no name (jti)"),
    ],
)
def test_usage(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """Each is found before anybody is asked, and says what to do."""
    files = {"t": token(token_id="a"), "nameless": token()}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    done = rtcli(*arguments, *("--url", f"http://127.0.0.1:{free_port()}"), home=tmp_path)
    assert says in refused(done, 2)


@pytest.mark.parametrize(
    "command", [("kick", "7"), ("kick", "7", "--stay-away", "1m"), ("revoke", "--user", "7")]
)
def test_rights(deployment: Deployment, command: tuple[str, ...]) -> None:
    text = refused(deployment.with_token(token("8", scope="publish"), *command), 4)
    assert "does not allow this (403)" in text
    assert "--scope admin" in text
    text = refused(deployment.with_token(token("8", ttl_s=-60, scope="admin"), *command), 4)
    assert "wants a valid token (401)" in text
    nobody = rtcli(*command, "--url", deployment.server.url, home=deployment.home)
    assert "no token for" in refused(nobody, 4)
    assert deployment.status(token("7")) == 200


def test_what_the_server_finds_wrong_is_said(deployment: Deployment) -> None:
    text = refused(deployment.run("revoke", "--user", "7", "--issued-before", "2999-01-01T00:00:00Z"), 6)
    assert "refuses this: issued_before: is in the future" in text
    text = refused(deployment.run("revoke", "--jti", "a", "--until", "2020-01-01T00:00:00Z"), 6)
    assert "refuses this: until: is over" in text


def test_nobody_is_there(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o600)
    where = ("--url", f"http://127.0.0.1:{free_port()}", "--secret-file", "secret")
    for command in (("kick", "7"), ("revoke", "--jti", "a")):
        assert "refused the connection" in refused(rtcli(*command, *where, home=tmp_path), 3)
    done = rtcli("kick", "7", *where, "--wait", "30s", "--timeout", "300ms", home=tmp_path)
    assert done.returncode == 5


@pytest.mark.parametrize("command", [("kick", "7"), ("revoke", "--jti", "a")])
@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_can_be_ended_while_the_server_is_silent(
    tmp_path: Path, command: tuple[str, ...], number: int, exit_code: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        running = Command(*command, "--url", url, home=tmp_path, env={"RTCLI_TOKEN": token(scope="admin")})
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(65_536)
            running.signal(number)
            assert (running.end(), running.out, running.err) == (exit_code, b"", b"")


def test_what_was_asked_for_is_done_when_nobody_reads_the_answer(deployment: Deployment) -> None:
    old = token("7")
    where = ("--url", deployment.server.url, "--secret-file", "secret", "--user", "7")
    without_reader = ("sh", "-c", 'exec "$@" | :', "-", RTCLI)
    rtcli("revoke", *where, home=deployment.home, command=without_reader)
    assert deployment.status(old) == 401
