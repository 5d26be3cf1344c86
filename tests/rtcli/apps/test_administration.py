"""What `rtcli kick` and `rtcli revoke` ask for, and what they make of answers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import httpx
import jwt
import pytest

from rtcli.apps.administration import Administrator, Kicked, Revoked, RevokeOptions, check_kick, revocation
from rtcli.apps.asking import Asker
from rtcli.client.backoff import Reconnect
from rtcli.client.publishing import Server
from rtcli.errors import CliError, Exit
from tests.support.http.threaded import reply, threaded_http
from tests.support.ports import free_port
from tests.support.servers.live_server import SECRET

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


def signed(**claims: object) -> str:
    return jwt.encode({"sub": "7", "exp": NOW + 60, **claims}, SECRET, "HS256")


@pytest.mark.parametrize(
    ("given", "body"),
    [
        (RevokeOptions(jti="a"), {"jti": "a"}),
        (
            RevokeOptions(jti="a", until="2027-05-01T11:30:00+02:00"),
            {"jti": "a", "until": "2027-05-01T09:30:00.000Z"},
        ),
        (RevokeOptions(user="7"), {"user": "7"}),
        (
            RevokeOptions(user="7", issued_before="2026-05-01T09:30:00.25Z", until="2027-05-01T09:30:00Z"),
            {
                "user": "7",
                "issued_before": "2026-05-01T09:30:00.250Z",
                "until": "2027-05-01T09:30:00.000Z",
            },
        ),
        (RevokeOptions(token=signed(jti="a")), {"jti": "a", "until": "2027-01-15T08:02:00.000Z"}),
        (RevokeOptions(token=signed(jti="a", exp=NOW + 1e12)), {"jti": "a"}),
        (
            RevokeOptions(token=signed(jti="a"), until="2028-01-01T00:00:00Z"),
            {"jti": "a", "until": "2028-01-01T00:00:00.000Z"},
        ),
    ],
)
def test_what_is_asked_for(given: RevokeOptions, body: dict[str, str]) -> None:
    assert revocation(given, now=NOW) == body


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (RevokeOptions(), "one token, or one user's tokens"),
        (RevokeOptions(jti="a", user="7"), "one token, or one user's tokens"),
        (RevokeOptions(token=signed(jti="a"), jti="a"), "one token, or one user's tokens"),
        (RevokeOptions(jti=""), "--jti"),
        (RevokeOptions(jti="x" * 257), "--jti"),
        (RevokeOptions(jti="a\nb"), "--jti"),
        (RevokeOptions(user=""), "--user"),
        (RevokeOptions(user="x" * 129), "--user"),
        (RevokeOptions(jti="a", issued_before="2020-01-01T00:00:00Z"), "--issued-before needs --user"),
        (RevokeOptions(user="7", issued_before="yesterday"), "--issued-before 'yesterday'"),
        (RevokeOptions(user="7", issued_before=""), "--issued-before ''"),
        (RevokeOptions(user="7", issued_before="2020-01-01T00:00:00"), "offset from UTC"),
        (RevokeOptions(user="7", issued_before="0001-01-01T00:00:00+23:59"), "--issued-before"),
        (RevokeOptions(jti="a", until="9999-12-31T23:59:59-23:59"), "--until"),
        (RevokeOptions(token="a.b.c"), "not a JWT"),
        (RevokeOptions(token=signed()), "no name (jti)"),
        (RevokeOptions(token=signed(jti=7)), "no name (jti)"),
        (RevokeOptions(token=signed(jti="")), "no name (jti)"),
        (RevokeOptions(token=signed(jti="a", exp=NOW - 61)), "has expired"),
        (RevokeOptions(token=signed(jti="a", exp="soon")), "never does"),
        (RevokeOptions(token=signed(jti="a", exp=True)), "never does"),
    ],
)
def test_what_cannot_be_meant(given: RevokeOptions, says: str) -> None:
    with pytest.raises(CliError) as caught:
        revocation(given, now=NOW)
    assert says in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("user", "stay_away_s"),
    [("", None), ("..", None), ("x" * 129, None), ("a\nb", 1.0), ("7", 0.0), ("7", 2_592_001.0)],
)
def test_kicks_that_cannot_be_meant(user: str, stay_away_s: float | None) -> None:
    with pytest.raises(CliError):
        check_kick(user, stay_away_s)
    check_kick("7", 2_592_000.0)
    check_kick("...", None)


class Scripted:
    """A server that gives its answers one after the other, the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.asked: list[str] = []
        self.base = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(f"{handler.command} {handler.path}")
        handler.rfile.read(int(handler.headers.get("content-length", "0")))
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        reply(handler, status, body, **({"Retry_After": "3"} if status == 503 else {}))


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    with threaded_http(server.answer) as server.base:
        yield server


class Acting:
    """An administrator whose clock only its own sleeps move."""

    def __init__(self, base: str, wait_s: float | None = None) -> None:
        self.slept: list[float] = []
        self.now = 0.0
        self._base = base
        self._wait_s = wait_s

    async def __aenter__(self) -> Administrator:
        self.http = httpx.AsyncClient(trust_env=False)
        server = Server(self.http, self._base, "the server", lambda: "a.b.c")
        reconnect = Reconnect(random.Random(1), started=0.0, wait_s=self._wait_s)
        asker = Asker(server, reconnect, lambda _failure, _delay: None, self._sleep, lambda: self.now)
        return Administrator(asker)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()


async def test_what_is_asked_and_what_is_answered(scripted: Scripted) -> None:
    async with Acting(scripted.base) as administrator:
        scripted.answers = [(200, b'{"closed":2}')]
        assert await administrator.kick("a/..", None) == Kicked(2)
        assert await administrator.kick("...", 90.5) == Kicked(2)
        assert await administrator.kick("7", 2_592_000.0) == Kicked(2)
        scripted.answers = [(200, b'{"closed":-1}')]
        with pytest.raises(CliError, match="does not answer as a server of rtcli"):
            await administrator.kick("7", None)
        scripted.asked.pop()
        scripted.answers = [(201, b'{"until":"2030-01-01T00:00:00.000Z","more":1}')]
        assert await administrator.revoke({"jti": "a"}) == Revoked("2030-01-01T00:00:00.000Z")
    assert scripted.asked == [
        "DELETE /api/v1/users/a%2F../connections",
        "DELETE /api/v1/users/.../connections?stay_away_s=90.5",
        "DELETE /api/v1/users/7/connections?stay_away_s=2592000.0",
        "POST /api/v1/revocations",
    ]


AWAY = (503, b'{"detail":"Revoked on this instance, perhaps not on others, nor kept. Repeat it."}')


async def test_what_not_all_instances_have_is_repeated_as_long_as_it_is_told(scripted: Scripted) -> None:
    scripted.answers = [AWAY]
    async with Acting(scripted.base) as administrator:
        with pytest.raises(CliError, match="perhaps not on others") as caught:
            await administrator.revoke({"jti": "a"})
        assert "--wait" in caught.value.hint
        assert caught.value.exit_code == Exit.CANNOT_CONNECT
    scripted.answers = [AWAY, AWAY, (201, b'{"until":"2030"}')]
    acting = Acting(scripted.base, wait_s=30)
    async with acting as administrator:
        assert await administrator.revoke({"jti": "a"}) == Revoked("2030")
    assert len(acting.slept) == 2
    scripted.answers = [AWAY]
    async with Acting(scripted.base, wait_s=5) as administrator:
        with pytest.raises(CliError, match="perhaps not on others"):
            await administrator.revoke({"jti": "a"})


@pytest.mark.parametrize(
    ("answer", "exit_code", "says"),
    [
        ((401, b""), Exit.AUTH, "wants a valid token (401)"),
        ((403, b""), Exit.AUTH, "does not allow this (403)"),
        ((403, b" " * 70_000), Exit.AUTH, "does not allow this (403)"),
        ((404, b""), Exit.SERVER, "answered 404"),
        ((405, b""), Exit.SERVER, "answered 405"),
        ((200, b"<html>"), Exit.SERVER, "does not answer as a server of rtcli"),
        ((201, b'{"until":7}'), Exit.SERVER, "does not answer as a server of rtcli"),
        ((201, b"\xff"), Exit.SERVER, "does not answer as a server of rtcli"),
        ((201, b"[" * 60_000), Exit.SERVER, "does not answer as a server of rtcli"),
        ((201, b" " * 70_000), Exit.SERVER, "more than 65536 bytes"),
        ((409, b'{"detail":"Too many"}'), Exit.SERVER, "refuses this: Too many"),
        ((409, b'{"detail":"%s"}' % (b"x" * 9_000)), Exit.SERVER, f"refuses this: {'x' * 500}"),
        ((400, b"nothing"), Exit.SERVER, "refuses this: status 400"),
        ((400, b'{"errors":[{"field":"until","message":"is over"}]}'), Exit.SERVER, "until: is over"),
        ((429, b"{}"), Exit.CANNOT_CONNECT, "cannot serve this now (429)"),
        ((500, b""), Exit.CANNOT_CONNECT, "cannot serve this now (500)"),
        ((503, b"<html>"), Exit.CANNOT_CONNECT, "status 503"),
        ((503, b" " * 70_000), Exit.CANNOT_CONNECT, "status 503"),
    ],
)
async def test_servers_that_answer_otherwise(
    scripted: Scripted, answer: tuple[int, bytes], exit_code: Exit, says: str
) -> None:
    scripted.answers = [answer]
    async with Acting(scripted.base) as administrator:
        with pytest.raises(CliError) as caught:
            await administrator.revoke({"jti": "a"})
    assert says in caught.value.message
    assert len(caught.value.message) < 600
    assert caught.value.exit_code == exit_code


async def test_nobody_is_there() -> None:
    async with Acting(f"http://127.0.0.1:{free_port()}") as administrator:
        with pytest.raises(CliError, match="refused the connection"):
            await administrator.kick("7", None)
