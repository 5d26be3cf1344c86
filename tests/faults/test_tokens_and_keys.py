"""While connections are open, tokens expire, keys change, and the JWKS is unavailable."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from rtcli.protocol.tokens import create_token
from tests.support.clients.peers import StreamPeer, WsPeer, connect, connect_all, drop
from tests.support.http.threaded import reply, threaded_http
from tests.support.servers.live_server import SECRET, LiveServer, live_server, token
from tests.support.servers.watch import HealthWatch, descriptors
from tests.support.waiting import until

HOUR_S = 3_600.0
FEW_AT_ONCE = 10  # handshakes; what this test does at once is to let tokens expire
TRANSPORTS = {"picows": True, "portable": False}


@pytest.fixture(params=TRANSPORTS)
def fast(request: pytest.FixtureRequest) -> bool:
    return TRANSPORTS[request.param]


@asynccontextmanager
async def watched(server: LiveServer, caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Check the health throughout, and afterwards that no connection, descriptor or traceback is left."""
    caplog.set_level(logging.INFO)
    before = descriptors(os.getpid())
    health = HealthWatch(server.port, task=server.thread_id)
    health.start()
    yield
    await health.stop()
    await asyncio.to_thread(server.wait_until, lambda realtime: not realtime.hub.clients)
    await until(lambda: descriptors(os.getpid()) <= before + 1, why="descriptors are left")
    assert not [record for record in caplog.records if record.exc_info]
    assert SECRET not in caplog.text


async def test_many_tokens_expire_at_once(fast: bool, caplog: pytest.LogCaptureFixture) -> None:
    settings = {"token_expiring_s": 2.0, "expiry_grace_s": 0.5, "rate_limit_per_s": None}
    with live_server(fast_websockets=fast, **settings) as server:
        async with watched(server, caplog):
            short = [token(f"u{n}", ttl_s=4) for n in range(100)]
            sockets = await connect_all(
                server.port, lambda n: WsPeer(f"u{n}", ["room"], bearer=short[n]), 100, FEW_AT_ONCE
            )
            streams = await connect_all(
                server.port, lambda n: StreamPeer(f"u{n}", bearer=short[n]), 30, FEW_AT_ONCE
            )
            await until(lambda: all(peer.of_type("token_expiring") for peer in sockets), why="no warning")
            kept = sockets[:50]
            for number, peer in enumerate(kept):
                peer.send("refresh", token=token(f"u{number}"))
            await until(lambda: all(peer.of_type("refreshed") for peer in kept), why="no refresh")
            await asyncio.wait_for(asyncio.gather(*(peer.lost for peer in (*sockets[50:], *streams))), 30)
            assert {peer.close_code for peer in sockets[50:]} == {4002}
            assert {stream.events[-1][0] for stream in streams} == {"error"}
            assert {stream.events[-1][1]["code"] for stream in streams} == {"invalid_token"}
            assert {peer.close_code for peer in kept} == {None}
            drop(kept)


class Issuer:
    """Publishes the keys `kids`; `down` answers with an error."""

    def __init__(self) -> None:
        self.keys = {kid: ec.generate_private_key(ec.SECP256R1()) for kid in ("old", "new", "unknown")}
        self.kids = ["old"]
        self.down = False
        self.url = ""

    def document(self) -> bytes:
        """The JWKS."""
        keys = [
            {**ECAlgorithm.to_jwk(self.keys[kid].public_key(), as_dict=True), "kid": kid} for kid in self.kids
        ]
        return json.dumps({"keys": keys}).encode()

    def token(self, kid: str, sub: str = "7") -> str:
        """A token that is valid for an hour."""
        claims = {"sub": sub, "exp": int(time.time() + HOUR_S)}
        return jwt.encode(claims, self.keys[kid], "ES256", headers={"kid": kid})


@contextmanager
def issuing() -> Iterator[Issuer]:
    """Serve an issuer's keys on loopback."""
    issuer = Issuer()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 503 if issuer.down else 200, b"" if issuer.down else issuer.document())

    with threaded_http(answer) as base:
        issuer.url = f"{base}/keys"
        yield issuer


async def refresh_keys(server: LiveServer) -> bool:
    """Make the server fetch the JWKS now instead of in five minutes."""
    jwks = server.handle.realtime.authenticator._jwks
    assert jwks is not None
    refreshed = asyncio.run_coroutine_threadsafe(jwks.refresh(), server._loop)
    return await asyncio.wrap_future(refreshed)


async def test_keys_rotate_and_the_jwks_is_gone(fast: bool, caplog: pytest.LogCaptureFixture) -> None:
    with issuing() as issuer, live_server(fast_websockets=fast, secrets=(), jwks_url=issuer.url) as server:
        await asyncio.to_thread(server.wait_until, lambda realtime: bool(realtime.authenticator.ready))
        async with watched(server, caplog):
            socket = await connect(server.port, WsPeer("7", ["room"], bearer=issuer.token("old")))
            stream = await connect(server.port, StreamPeer("7", ["room"], bearer=issuer.token("old")))
            await asyncio.gather(socket.ready, stream.ready)

            issuer.kids = ["old", "new"]
            assert await refresh_keys(server)
            socket.send("refresh", token=issuer.token("new"))
            await until(lambda: len(socket.of_type("refreshed")) == 1, why="the new key is not known")

            issuer.down = True
            assert not await refresh_keys(server)
            for kid in ("old", "new"):  # the server keeps the keys
                peer = await connect(server.port, WsPeer("7", bearer=issuer.token(kid)))
                await asyncio.wait_for(asyncio.shield(peer.ready), 10)
                drop([peer])
            unknown = await connect(server.port, WsPeer("7", bearer=issuer.token("unknown")))
            await asyncio.wait_for(unknown.lost, 10)
            assert unknown.close_code == 1013, "nobody can say what it is: it shall come back"
            socket.send("refresh", token=issuer.token("unknown"))
            await until(lambda: bool(socket.of_type("error")), why="a strange key is not refused")
            assert socket.of_type("error")[0]["code"] == "unavailable"

            issuer.down, issuer.kids = False, ["new"]
            assert await refresh_keys(server)
            withdrawn = await connect(server.port, WsPeer("7", bearer=issuer.token("old")))
            await asyncio.wait_for(withdrawn.lost, 10)
            assert withdrawn.close_code == 1008
            socket.send("chat_message", room="room", content="still here")
            await until(lambda: stream.events[-1][0] == "new_message", why="those inside are not served")
            drop([socket, stream])


async def test_a_secret_rotates_over_restarts() -> None:
    old, new = SECRET, "another secret for tests, longer than 32 bytes"

    def made_with(secret: str) -> str:
        return create_token(secret, sub="7", now=time.time())

    for secrets, good, bad in (((old,), old, new), ((new, old), old, None), ((new,), new, old)):
        with live_server(secrets=secrets) as server:
            peer = await connect(server.port, WsPeer("7", bearer=made_with(good)))
            await asyncio.wait_for(asyncio.shield(peer.ready), 10)
            if bad is not None:
                peer.send("refresh", token=made_with(bad))
                await until(lambda: bool(peer.of_type("error")), why="a strange secret is not refused")  # noqa: B023 - at once
            else:
                peer.send("refresh", token=made_with(new))
                await until(lambda: bool(peer.of_type("refreshed")), why="the new secret is refused")  # noqa: B023 - at once
            drop([peer])
            await peer.lost  # otherwise the server waits for it
