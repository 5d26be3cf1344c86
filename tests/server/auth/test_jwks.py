"""Keys behind a URL: with a real HTTP server on loopback, and the cache alone with a manual clock."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from rtcli_server.auth.authenticator import (
    Authenticator,
    InvalidTokenError,
    NotReadyError,
    UnknownKeyError,
)
from rtcli_server.auth.jwks import JwksError, JwksKeys, check_jwks_url, fetch_jwks
from rtcli_server.auth.verification_keys import KeyConfigError
from tests.support.fakes.liars import drip, endless, gzip_bomb, head
from tests.support.fakes.scripted_stream import Answer as Scripted
from tests.support.fakes.scripted_stream import fake_stream
from tests.support.http.forward_proxy import forward_proxy
from tests.support.http.threaded import threaded_http
from tests.support.waiting import until

NOW = 1_800_000_000.0
KEYS = {kid: ec.generate_private_key(ec.SECP256R1()) for kid in ("old", "new")}


def document(*kids: str) -> bytes:
    keys = [{**ECAlgorithm.to_jwk(KEYS[kid].public_key(), as_dict=True), "kid": kid} for kid in kids]
    return json.dumps({"keys": keys}).encode()


def token(kid: str, *, named: bool = True) -> str:
    claims = {"sub": "7", "exp": int(NOW + 60)}
    return jwt.encode(claims, KEYS[kid], "ES256", headers={"kid": kid} if named else None)


class Source:
    """The result of fetches, and their number; with `latch`, fetches wait for it."""

    def __init__(self, *kids: str) -> None:
        self.body = document(*kids)
        self.error: JwksError | None = None
        self.count = 0
        self.latch: threading.Event | None = None
        self.now = 1000.0

    def __call__(self, _url: str) -> bytes:
        self.count += 1
        if self.latch is not None:
            assert self.latch.wait(30)
        if self.error is not None:
            raise self.error
        return self.body

    def keys(self) -> JwksKeys:
        return JwksKeys("https://issuer.example/keys", fetch=self, clock=lambda: self.now)


def authenticator(keys: JwksKeys, **settings: Any) -> Authenticator:  # noqa: ANN401 - the class's own arguments
    return Authenticator(jwks=keys, clock=lambda: NOW, **settings)


async def test_a_key_is_fetched_when_it_is_first_needed() -> None:
    source = Source("old")
    auth = authenticator(source.keys())
    assert bool(auth.ready) is False
    with pytest.raises(UnknownKeyError):
        auth.authenticate(token("old"))
    assert source.count == 0
    assert (await auth.verify(token("old"))).user_id == "7"
    assert auth.ready
    assert auth.authenticate(token("old")).user_id == "7"
    assert source.count == 1


async def test_a_rotated_key_is_found_after_the_cooldown() -> None:
    source = Source("old")
    auth = authenticator(source.keys())
    await auth.verify(token("old"))
    source.body = document("old", "new")
    source.now += 10
    with pytest.raises(NotReadyError) as caught:
        await auth.verify(token("new"))
    assert caught.value.retry_after_s == 20
    source.now += 20
    assert (await auth.verify(token("new"))).user_id == "7"
    assert source.count == 2


async def test_a_flood_of_unknown_keys_causes_one_fetch_per_cooldown() -> None:
    source = Source("old")
    auth = authenticator(source.keys())
    claims = {"sub": "7", "exp": NOW + 60}
    for turn in (1, 2, 3):
        for number in range(200):
            forged = jwt.encode(claims, KEYS["new"], "ES256", headers={"kid": f"made up {turn} {number}"})
            with pytest.raises(NotReadyError):
                await auth.verify(forged)
        assert source.count == turn
        source.now += 30


async def test_a_key_that_does_not_come_within_the_cooldown_is_refused() -> None:
    """It is asked for once, once more when the cooldown is over, and then its tokens are like any bad one."""
    source = Source("old")
    auth = authenticator(source.keys())
    for waited_s, left_s in ((0, 30), (1, 29), (28.5, 0.5)):
        source.now += waited_s
        with pytest.raises(NotReadyError) as caught:
            await auth.verify(token("new"))
        assert caught.value.retry_after_s == left_s
        assert source.count == 1
    source.now += 0.5
    for _ in range(3):
        with pytest.raises(UnknownKeyError):
            await auth.verify(token("new"))
    assert source.count == 2
    source.now += 30
    source.body = document("old", "new")
    assert (await auth.verify(token("new"))).user_id == "7", "it is asked for again in each cooldown"


async def test_one_that_comes_in_the_cooldown_of_another_waits_for_its_end() -> None:
    source = Source("old")
    auth = authenticator(source.keys())
    await auth.verify(token("old"))
    source.now += 20
    for left_s in (10, 30):
        with pytest.raises(NotReadyError) as caught:
            await auth.verify(token("new"))
        assert caught.value.retry_after_s == left_s
        source.now += left_s
    with pytest.raises(UnknownKeyError):
        await auth.verify(token("new"))
    assert source.count == 3


async def test_while_the_url_does_not_answer_nobody_can_say() -> None:
    """Neither of a new key, nor of any before there were some."""
    source = Source("old")
    source.error = JwksError("ConnectError")
    auth = authenticator(source.keys())
    for named in (True, False):
        with pytest.raises(NotReadyError) as caught:
            await auth.verify(token("old", named=named))
        assert caught.value.retry_after_s == 10
    source.error = None
    source.now += 10
    await auth.verify(token("old"))
    source.error = JwksError("status 500")
    for _ in range(5):
        source.now += 30
        with pytest.raises(NotReadyError):
            await auth.verify(token("new"))
    source.error = None
    source.now += 30
    with pytest.raises(UnknownKeyError):
        await auth.verify(token("new"))


async def test_a_key_that_was_taken_out_is_refused_at_once() -> None:
    source = Source("old", "new")
    keys = source.keys()
    auth = authenticator(keys)
    await auth.verify(token("old"))
    source.body = document("new")
    source.now += 1
    assert await keys.refresh()
    with pytest.raises(UnknownKeyError):
        await auth.verify(token("old"))
    source.body = document("new", "old")
    source.now += 30
    assert (await auth.verify(token("old"))).user_id == "7"


async def test_one_fetch_at_a_time_and_a_cancelled_caller_stops_nobody_else() -> None:
    source = Source("old")
    source.latch = threading.Event()
    auth = authenticator(source.keys())
    callers = [asyncio.ensure_future(auth.verify(token("old"))) for _ in range(20)]
    await asyncio.sleep(0)
    callers[0].cancel()
    await asyncio.sleep(0)
    source.latch.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert all(not isinstance(result, BaseException) for result in results[1:])
    assert source.count == 1


@pytest.mark.parametrize("body", [b"", b"[]", b'{"keys":[]}'])
async def test_a_failed_refresh_keeps_the_keys(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    source = Source("old")
    keys = source.keys()
    assert await keys.refresh()
    source.body = body
    with caplog.at_level(logging.WARNING):
        assert not await keys.refresh()
    assert "1 keys kept" in caplog.text
    source.error = JwksError("status 500")
    assert not await keys.refresh()
    assert authenticator(keys).authenticate(token("old")).user_id == "7"


async def test_without_keys_it_is_tried_again_sooner() -> None:
    source = Source("old")
    source.error = JwksError("ConnectError")
    auth = authenticator(source.keys())
    for _ in range(3):
        with pytest.raises(InvalidTokenError):
            await auth.verify(token("old"))
    assert source.count == 1
    source.error = None
    source.now += 10
    assert (await auth.verify(token("old"))).user_id == "7"


async def test_run_withdraws_a_key_that_is_gone() -> None:
    source = Source("old", "new")
    keys = JwksKeys("https://issuer.example/keys", fetch=source, refresh_s=0.001)
    auth = authenticator(keys)
    task = asyncio.create_task(auth.run())
    await until(lambda: auth.ready)
    source.body = document("new")
    await until(lambda: len(keys.keys) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(InvalidTokenError):
        auth.authenticate(token("old"))


async def test_run_without_a_jwks_returns() -> None:
    await Authenticator(secrets=["s" * 32]).run()


async def test_a_token_without_kid_needs_a_single_key() -> None:
    source = Source("old")
    auth = authenticator(source.keys())
    assert (await auth.verify(token("old", named=False))).user_id == "7"
    source.body = document("old", "new")
    source.now += 30
    await auth._jwks.refresh()  # type: ignore[union-attr]
    with pytest.raises(InvalidTokenError):
        await auth.verify(token("old", named=False))


async def test_an_invalid_header_causes_no_fetch() -> None:
    source = Source("old")
    auth = authenticator(source.keys())
    for malformed in ("eyJ9.e30.AAAA", "AAAA.e30.AAAA", jwt.encode({}, "s" * 32, "HS256")):
        with pytest.raises(InvalidTokenError):
            await auth.verify(malformed)
    assert source.count == 0


async def test_a_shared_secret_beside_a_jwks() -> None:
    source = Source("old")
    auth = authenticator(source.keys(), secrets=["s" * 32])
    claims = {"sub": "7", "exp": int(NOW + 60)}
    assert (await auth.verify(jwt.encode(claims, "s" * 32, "HS256"))).user_id == "7"
    assert source.count == 0
    assert (await auth.verify(token("old"))).user_id == "7"
    with pytest.raises(InvalidTokenError) as caught:
        await auth.verify(jwt.encode(claims, "t" * 32, "HS256"))
    assert caught.value.reason == "algorithm"
    with pytest.raises(InvalidTokenError):
        await auth.verify("eyJ9.e30.AAAA")
    assert source.count == 1


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://h/x",
        "h/x",
        "https://",
        "https://u:p@h/x",
        "https://h/x#f",
        "http://[::1",
        "//h",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(KeyConfigError):
        check_jwks_url(url)
    with pytest.raises(KeyConfigError):
        Authenticator(jwks_url=url)


Respond = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Respond], str]]:
    """Start an HTTP server that answers with a function; return its URL."""
    with ExitStack() as running:
        yield lambda respond: running.enter_context(threaded_http(respond, protocol="HTTP/1.0")) + "/keys"


def answer(status: int, body: bytes = b"", **headers: str) -> Respond:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return respond


async def test_over_a_real_server(serve: Callable[[Respond], str]) -> None:
    auth = Authenticator(jwks_url=serve(answer(200, document("old"))), clock=lambda: NOW)
    assert (await auth.verify(token("old"))).user_id == "7"


def test_redirects_are_not_followed(serve: Callable[[Respond], str]) -> None:
    elsewhere = serve(answer(200, document("old")))
    with pytest.raises(JwksError, match="status 302"):
        fetch_jwks(serve(answer(302, Location=elsewhere)))
    for nowhere in ("mailto:a", "http://xn--a/", "http://a:x/"):
        with pytest.raises(JwksError):
            fetch_jwks(serve(answer(302, Location=nowhere)))


def test_it_goes_through_the_proxy_that_the_environment_names(
    serve: Callable[[Respond], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    url = serve(answer(200, document("old"))).replace("127.0.0.1", "issuer.example.test")
    with forward_proxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert fetch_jwks(url) == document("old")
        assert proxy.asked == [f"GET {url}"]
        proxy.credentials = "Basic dTpw"
        with pytest.raises(JwksError, match=r"the proxy 127.* \(http_proxy\) wants a user and a password"):
            fetch_jwks(url)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(JwksError, match=r"the proxy 127.* \(HTTPS_PROXY\) answered 407"):
            fetch_jwks("https://issuer.example.test/keys")
    with pytest.raises(JwksError, match=r"ConnectError through the proxy 127.* \(http_proxy\)"):
        fetch_jwks(url)
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(JwksError, match=r"http_proxy 'socks5://127\.0\.0\.1:1': SOCKS proxies are not"):
        fetch_jwks(url)


def test_answers_that_are_not_accepted(serve: Callable[[Respond], str]) -> None:
    with pytest.raises(JwksError, match="status 500"):
        fetch_jwks(serve(answer(500, document("old"))))
    with pytest.raises(JwksError, match="more than 524288 bytes"):
        fetch_jwks(serve(answer(200, b" " * 600_000)))
    with pytest.raises(JwksError, match="ConnectError"):
        fetch_jwks("http://127.0.0.1:1/keys")


@pytest.mark.parametrize("start", [head() + b"{", b"HTTP/1.1 200 OK\r\nX-A: ", b""])
async def test_an_answer_that_comes_too_slowly_is_given_up(start: bytes) -> None:
    """Each byte is in time, and the last one never comes."""
    then = b"x" if start else b"HTTP/1.1 100 Continue\r\n\r\n"
    async with fake_stream(drip(start, then, every_s=0.01)) as server:
        with pytest.raises(JwksError, match=r"not complete after 0\.3 s"):
            await asyncio.to_thread(fetch_jwks, server.url, timeout_s=0.3)


@pytest.mark.parametrize(
    ("lie", "says"),
    [
        (gzip_bomb(), "more than 524288 bytes"),
        (endless(head(), b" " * 65_536), "more than 524288 bytes"),
        (head(Content_Encoding="br") + b"x", "not asked for"),
        (head(Content_Encoding="gzip") + b"{}", "not gzip"),
    ],
)
async def test_a_document_is_counted_as_it_is_decompressed(lie: Scripted, says: str) -> None:
    tracemalloc.start()
    try:
        async with fake_stream(lie) as server:
            with pytest.raises(JwksError, match=says):
                await asyncio.to_thread(fetch_jwks, server.url)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


async def test_a_compressed_document_is_read() -> None:
    body = gzip.compress(document("old"))
    async with fake_stream(head(Content_Encoding="gzip") + body) as server:
        assert await asyncio.to_thread(fetch_jwks, server.url) == document("old")


def test_a_server_that_says_nothing_is_given_up(serve: Callable[[Respond], str]) -> None:
    release = threading.Event()

    def silent(_handler: BaseHTTPRequestHandler) -> None:
        release.wait(30)

    try:
        with pytest.raises(JwksError, match=r"not complete after 0\.05 s"):
            fetch_jwks(serve(silent), timeout_s=0.05)
    finally:
        release.set()
