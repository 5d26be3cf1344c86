"""Requests to servers that lie: what is read is bounded in bytes and in time, and nobody else is asked."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from rtcli.client.endpoint import Endpoint
from rtcli.client.http import make_http
from rtcli.client.net.answers import Answer, RedirectError, ask
from tests.support.fakes.liars import drip, endless, gzip_bomb, head
from tests.support.fakes.scripted_stream import Answer as Scripted
from tests.support.fakes.scripted_stream import FakeStream, fake_stream, status
from tests.support.waiting import until

LIMIT = 100_000
SECRET = [("X-Api-Key", "s3cret"), ("Authorization", "Bearer t")]


@asynccontextmanager
async def client(server: FakeStream, *headers: tuple[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    endpoint = Endpoint(secure=False, host="127.0.0.1", port=server.port)
    async with make_http(endpoint, headers=list(headers)) as http:
        yield http


async def asked(
    *answers: Scripted, method: str = "GET", timeout_s: float = 20, redirects: int = 5
) -> tuple[Answer, FakeStream]:
    """What `ask` says of a server with these answers."""
    async with fake_stream(*answers) as server, client(server, *SECRET) as http:
        request = http.build_request(method, server.url, content=b"{}" if method == "POST" else None)
        return await ask(http, request, max_bytes=LIMIT, timeout_s=timeout_s, redirects=redirects), server


async def test_an_answer_is_read_with_its_coding() -> None:
    body = b'{"a":1}' * 1_000
    for data, fields in ((body, {}), (gzip.compress(body), {"Content_Encoding": "gzip"})):
        answer, server = await asked(head(201, X_A="b", **fields) + data)
        assert (answer.status, answer.content, answer.problem) == (201, body, "")
        assert answer.headers["x-a"] == "b"
        assert server.header("accept-encoding") == ["gzip, deflate"]
        assert server.header("x-api-key") == ["s3cret"]


@pytest.mark.parametrize(
    ("lie", "says"),
    [
        (endless(head(), b"x" * 65_536), "more than 100000 bytes"),
        (endless(head(Content_Length="99999999999"), b"x" * 65_536), "more than 100000 bytes"),
        (
            endless(head(Transfer_Encoding="chunked"), b"10000\r\n" + b"x" * 65_536 + b"\r\n"),
            "more than 100000",
        ),
        (
            endless(head(Content_Encoding="gzip") + gzip.compress(b"{}"), b"x" * 65_536),
            "more than 100000 bytes",
        ),
        (gzip_bomb(), "more than 100000 bytes"),
        (head(Content_Encoding="br") + b"x", "'br', which was not asked for"),
        (head(Content_Encoding="gzip, gzip") + b"x", "not asked for"),
        (head(Content_Encoding="gzip") + b"no", "not gzip"),
    ],
)
async def test_an_answer_that_is_not_read_further(lie: Scripted, says: str) -> None:
    tracemalloc.start()
    try:
        answer, _ = await asked(lie)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status == 200
    assert answer.content == b""
    assert says in answer.problem
    assert peak < 8 * 1024 * 1024


@pytest.mark.parametrize(
    "lie",
    [
        drip(b"", head()[:-2] + b"X-A: " + b"x" * 1_000),
        drip(head(), b"x"),
        drip(head(Transfer_Encoding="chunked"), b"1\r\nx\r\n"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n", every_s=0.001),
        endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100),
    ],
    ids=["head", "body", "chunks", "interim", "many interim"],
)
async def test_the_time_is_for_all_of_the_answer(lie: Scripted) -> None:
    """No byte is late, and the end never comes."""
    with pytest.raises(httpx.ReadTimeout, match="no whole answer within") as caught:
        await asked(lie, timeout_s=0.5)
    assert isinstance(caught.value.__cause__, TimeoutError)


@pytest.mark.parametrize(
    "lie",
    [
        endless(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 1_000),
        endless(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 9_999),
    ],
)
async def test_a_head_without_an_end(lie: Scripted) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await asked(lie)


async def test_a_redirect_is_followed_within_the_origin_with_everything() -> None:
    moved = status(302, headers="Location: /elsewhere?a=b\r\n")
    answer, server = await asked(moved, head() + b"there")
    assert (answer.status, answer.content) == (200, b"there")
    assert server.targets == ["/stream", "/elsewhere?a=b"]
    assert server.header("x-api-key") == ["s3cret"] * 2
    assert server.header("authorization") == ["Bearer t"] * 2


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_no_redirect_leads_to_another_server(code: int) -> None:
    async with fake_stream(head() + b"mine now") as thief:
        for location in (thief.url, f"//127.0.0.1:{thief.port}/", f"http://localhost:{thief.port}/x"):
            with pytest.raises(RedirectError, match="to another server, http://"):
                await asked(status(code, headers=f"Location: {location}\r\n"))
        assert thief.requests == []


@pytest.mark.parametrize(
    ("start", "location", "followed"),
    [
        ("http://h/", "https://h/a", True),
        ("http://h:80/", "https://h:443/a", True),
        ("http://h:8000/", "https://h/a", False),
        ("http://h/", "https://h:8443/a", False),
        ("http://h/", "https://other/a", False),
        ("https://h/", "http://h/a", False),
    ],
)
async def test_of_other_origins_only_https_beside_http(start: str, location: str, *, followed: bool) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        code = 200 if request.url.path == "/a" else 307
        return httpx.Response(code, headers={"Location": location}, stream=httpx.ByteStream(b""))

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http:
        answering = ask(http, http.build_request("GET", start), max_bytes=LIMIT, timeout_s=20)
        if followed:
            assert (await answering).status == 200
        else:
            with pytest.raises(RedirectError, match="to another server"):
                await answering


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("https://127.0.0.1/", "https://127.0.0.1:443"),
        ("ftp://h/", "ftp://h:0"),
        ("file:///etc/passwd", "file://"),
        (f"http://{'a' * 60}.{'b' * 60}/", "http://aaaa"),
    ],
)
async def test_what_else_a_redirect_may_name(location: str, says: str) -> None:
    with pytest.raises(RedirectError) as caught:
        await asked(status(302, headers=f"Location: {location}\r\n"))
    assert says in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("redirects", [0, 5])
@pytest.mark.parametrize("location", ["mailto:a", "http://xn--a/", "http://xn--/", "http://a:x/"])
async def test_a_redirect_to_nowhere_is_an_error_like_any_other(location: str, redirects: int) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="Invalid URL in location header"):
        await asked(status(302, headers=f"Location: {location}\r\n"), redirects=redirects)


async def test_redirects_in_a_circle_end() -> None:
    async with fake_stream(status(302, headers="Location: /stream\r\n")) as server, client(server) as http:
        with pytest.raises(RedirectError, match="more than 5 times"):
            await ask(http, http.build_request("GET", server.url), max_bytes=LIMIT, timeout_s=20)
        assert len(server.targets) == 6


@pytest.mark.parametrize(
    ("code", "followed"), [(301, False), (302, False), (303, False), (307, True), (308, True)]
)
async def test_a_body_is_not_lost_on_the_way(code: int, *, followed: bool) -> None:
    moved = status(code, headers="Location: /there\r\n")
    if followed:
        answer, server = await asked(moved, head(201), method="POST")
        assert (answer.status, server.header("content-length")) == (201, ["2", "2"])
    else:
        with pytest.raises(RedirectError, match="a request with a body"):
            await asked(moved, method="POST")


async def test_a_redirect_may_be_the_answer() -> None:
    answer, server = await asked(status(302, headers="Location: http://127.0.0.1:1/\r\n"), redirects=0)
    assert answer.status == 302
    assert len(server.targets) == 1


async def test_no_cookie_is_kept() -> None:
    cookie = status(200, headers="Set-Cookie: who=ann; Path=/\r\n")
    async with fake_stream(cookie) as server, client(server) as http:
        for _ in range(2):
            await ask(http, http.build_request("GET", server.url), max_bytes=LIMIT, timeout_s=20)
        assert server.header("cookie") == [None, None]


async def test_an_answer_is_closed_when_the_asker_is_cancelled() -> None:
    async with fake_stream(drip(head(), b"x")) as server, client(server) as http:
        request = http.build_request("GET", server.url)
        task = asyncio.ensure_future(ask(http, request, max_bytes=LIMIT, timeout_s=20))
        await until(lambda: bool(server.targets), why="nothing was asked")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        pool = http._transport._pool  # type: ignore[attr-defined]
        await until(lambda: not pool.connections, why="its connection is held")
