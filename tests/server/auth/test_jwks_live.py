"""A server whose keys come from a URL: over both WebSocket transports, streams and HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.servers.live_server import live_server

KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


class Issuer:
    """Publishes one key, and counts the requests."""

    def __init__(self) -> None:
        self.asked = 0
        self.up = True
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                key = {**ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "k1"}
                body = json.dumps({"keys": [key]}).encode()
                self.send_response(200 if issuer.up else 500)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the interface's name
                del format, args

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/keys"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    running = Issuer()
    yield running
    running.http.shutdown()
    running.http.server_close()


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
        for refused in (token(OTHER), token(OTHER, "k2"), jwt.encode({"sub": "7"}, "s" * 32, "HS256")):
            assert greeting(server.port, refused) == ("", 1008)
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            assert client.get("/readyz").status_code == 200
            assert client.get("/api/v1/rooms", params={"token": token()}).status_code == 200
            for kid in range(50):
                unknown = token(OTHER, f"made-up-{kid}")
                assert client.get("/api/v1/rooms", params={"token": unknown}).status_code == 401
        assert issuer.asked == 1, "made-up key ids cause no requests"


def test_without_any_key_a_server_is_not_ready(issuer: Issuer) -> None:
    issuer.up = False
    with live_server(secrets=(), jwks_url=issuer.url) as server:
        assert httpx.get(f"{server.url}/readyz", trust_env=False).status_code == 503
        assert httpx.get(f"{server.url}/healthz", trust_env=False).status_code == 200
        assert greeting(server.port, token()) == ("", 1008)
