"""A server whose keys come from a URL: over both WebSocket transports, streams and HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from rtcli_server.realtime import RealtimeServer
from tests.support.clients.raw_sse import EventStream
from tests.support.http.threaded import reply, threaded_http
from tests.support.servers.live_server import live_server

KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


class Issuer:
    """Publishes keys, and counts the requests."""

    def __init__(self) -> None:
        self.asked = 0
        self.up = True
        self.kids = {"k1": KEY}
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked += 1
        keys = [
            {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid}
            for kid, key in self.kids.items()
        ]
        reply(handler, 200 if self.up else 500, json.dumps({"keys": keys}).encode())


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    running = Issuer()
    with threaded_http(running.answer) as base:
        running.url = f"{base}/keys"
        yield running


def token(key: ec.EllipticCurvePrivateKey = KEY, kid: str = "k1") -> str:
    claims = {"sub": "7", "exp": int(time.time()) + 600}
    return jwt.encode(claims, key, "ES256", headers={"kid": kid})


def greeting(port: int, bearer: str) -> tuple[str, int | None]:
    """The type of the first message, or the close code."""
    url = f"ws://127.0.0.1:{port}/api/v1/ws?token={bearer}"
    with connect(url, proxy=None) as socket:
        try:
            return json.loads(socket.recv())["type"], None
        except ConnectionClosed as error:
            return "", None if error.rcvd is None else error.rcvd.code


@pytest.mark.parametrize("fast", [True, False])
def test_tokens_are_verified_with_the_published_key(issuer: Issuer, *, fast: bool) -> None:
    with live_server(secrets=(), jwks_url=issuer.url, fast_websockets=fast) as server:
        assert greeting(server.port, token()) == ("pong", None)
        for refused in (token(OTHER), jwt.encode({"sub": "7"}, "s" * 32, "HS256")):
            assert greeting(server.port, refused) == ("", 1008)
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            assert client.get("/readyz").status_code == 200
            assert client.get("/api/v1/rooms", params={"token": token()}).status_code == 200
            for kid in range(50):
                unknown = token(OTHER, f"made-up-{kid}")
                assert client.get("/api/v1/rooms", params={"token": unknown}).status_code == 503
        assert issuer.asked == 1, "made-up key ids cause no requests"


@pytest.mark.parametrize("fast", [True, False])
def test_a_key_that_is_not_there_yet(issuer: Issuer, *, fast: bool) -> None:
    """During the cooldown a client is told when to come back, on each transport; then it is refused."""
    late = token(OTHER, "k2")
    with live_server(secrets=(), jwks_url=issuer.url, fast_websockets=fast) as server:
        assert greeting(server.port, token()) == ("pong", None)
        with connect(f"ws://127.0.0.1:{server.port}/api/v1/ws?token={late}", proxy=None) as socket:
            closing = json.loads(socket.recv())
            assert (closing["type"], closing["data"]["code"]) == ("closing", 1013)
            assert 20_000 < closing["data"]["retry_after_ms"] <= 36_000
            with pytest.raises(ConnectionClosed) as ended:
                socket.recv()
            assert ended.value.rcvd is not None
            assert (ended.value.rcvd.code, ended.value.rcvd.reason.partition(":")[0]) == (1013, "unavailable")
        with EventStream(server.port, bearer=late) as stream:
            assert stream.status == 200
            event = stream.until("closing")
            assert json.loads(event.data)["code"] == 1013
            assert json.loads(event.data)["retry_after_ms"] > 20_000
            assert stream.event() is None
        answer = httpx.get(f"{server.url}/api/v1/rooms", params={"token": late}, trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert 20 <= int(answer.headers["retry-after"]) <= 36
        with connect(f"ws://127.0.0.1:{server.port}/api/v1/ws?token={token()}", proxy=None) as socket:
            socket.recv()
            socket.send(json.dumps({"type": "refresh", "data": {"token": late}, "id": "r"}))
            error = json.loads(socket.recv())
            assert (error["id"], error["data"]["code"]) == ("r", "unavailable")
            assert error["data"]["message"] == "This token cannot be checked yet"
            assert error["data"]["retry_after_ms"] > 20_000

        server.ask(end_cooldown)
        for _ in range(2):
            assert greeting(server.port, late) == ("", 1008)
        assert (
            httpx.get(f"{server.url}/api/v1/rooms", params={"token": late}, trust_env=False).status_code
            == 401
        )
        with EventStream(server.port, bearer=late) as stream:
            assert stream.status == 401
        issuer.kids["k2"] = OTHER
        server.ask(end_cooldown)
        assert greeting(server.port, late) == ("pong", None)


def end_cooldown(realtime: RealtimeServer) -> None:
    """Let half a minute pass for the keys."""
    jwks = realtime.authenticator._jwks
    assert jwks is not None
    clock = jwks._clock
    jwks._clock = lambda: clock() + 31


def test_without_any_key_a_server_is_not_ready_and_clients_come_back(issuer: Issuer) -> None:
    issuer.up = False
    with live_server(secrets=(), jwks_url=issuer.url) as server:
        assert httpx.get(f"{server.url}/readyz", trust_env=False).status_code == 503
        assert httpx.get(f"{server.url}/healthz", trust_env=False).status_code == 200
        assert greeting(server.port, token()) == ("closing", None)
