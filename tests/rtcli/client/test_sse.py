from __future__ import annotations

import asyncio
import random
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from rtcli.client.backoff import FLOOR_S, Reconnect
from rtcli.client.endpoint import parse_endpoint
from rtcli.client.events import Lost
from rtcli.client.http import make_http
from rtcli.client.sse import Batch, Opened, StreamFollower, StreamItem
from rtcli.errors import CliError, Exit
from tests.support.fakes.liars import drip, endless, gzip_bomb, head
from tests.support.fakes.scripted_stream import HEAD, Answer, FakeStream, fake_stream, hold, status


def keep_open(data: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + data)
        await writer.drain()
        await hold(writer)

    return answer


@asynccontextmanager
async def open_stream(
    server: FakeStream,
    *,
    last_event_id: str = "",
    token: Callable[[], str | None] = lambda: None,
    idle_s: float | None = None,
    wait_s: float | None = None,
) -> AsyncIterator[StreamFollower]:
    clock = asyncio.get_running_loop().time
    reconnect = Reconnect(
        random.Random(3), started=clock(), wait_s=wait_s, base_s=0.01, cap_s=0.02, floor_s=0.002
    )
    endpoint = parse_endpoint(server.url)
    async with make_http(endpoint, headers=[("X-Own", "1")], read_timeout_s=idle_s) as http:
        yield StreamFollower(
            http, server.url, where=endpoint.authority, reconnect=reconnect, token=token,
            last_event_id=last_event_id, clock=clock,
        )  # fmt: skip


async def collect(stream: StreamFollower, *, until_data: str | None = None) -> list[StreamItem]:
    """Everything up to the end, or up to the event with that data."""
    items: list[StreamItem] = []
    async with asyncio.timeout(15), aclosing(stream.items()) as source:
        async for item in source:
            items.append(item)
            if isinstance(item, Batch) and any(event.data == until_data for event in item.events):
                break
    return items


async def until_lost(source: AsyncIterator[StreamItem]) -> Lost:
    async for item in source:
        if isinstance(item, Lost):
            return item
    raise AssertionError("it ended")


def data_of(items: list[StreamItem]) -> list[str]:
    return [event.data for item in items if isinstance(item, Batch) for event in item.events]


async def test_it_follows_over_connections_and_resumes_with_the_last_id() -> None:
    async with (
        fake_stream(
            HEAD + b"retry: 1\nid: 1\ndata: a\n\nid: 2\ndata: b\n\n: cut in the middle\nid: 3\ndata: lo",
            HEAD + b"data: without an id\n\n",
            HEAD,
            HEAD + b"id\ndata: cleared\n\n",
            status(204),
        ) as server,
        open_stream(server) as stream,
    ):
        items = await collect(stream)
    assert data_of(items) == ["a", "b", "without an id", "cleared"]
    assert server.header("Last-Event-ID") == [None, "2", "2", "2", None]
    assert server.header("Accept") == ["text/event-stream"] * 5
    assert server.header("X-Own") == ["1"] * 5
    opened = [item for item in items if isinstance(item, Opened)]
    assert [item.away_s is None for item in opened] == [True, False, False, False]
    assert [item.last_event_id for item in opened] == ["", "2", "2", "2"]
    assert next(item for item in items if isinstance(item, Lost)) == Lost("ended", 0.002, 1)


async def test_a_given_id_is_kept_when_the_stream_drops_before_any_event() -> None:
    async with fake_stream(HEAD, HEAD, HEAD + b"data: x\n\n") as server:
        async with open_stream(server, last_event_id="général-7") as stream:
            await collect(stream, until_data="x")
        assert server.requests[0]["last-event-id"] == server.requests[2]["last-event-id"] == "général-7"


async def test_the_server_can_be_cut_anywhere() -> None:
    payload = b"\xef\xbb\xbfid: 1\r\nevent: e\rdata: \xc3\xa4\ndata: b\r\n\r\n"

    async def byte_by_byte(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for index in range(len(payload)):
            writer.write(payload[index : index + 1])
            await writer.drain()
            await asyncio.sleep(0)

    async with fake_stream(byte_by_byte, status(204)) as server, open_stream(server) as stream:
        items = await collect(stream)
    (event,) = [event for item in items if isinstance(item, Batch) for event in item.events]
    assert (event.id, event.event, event.data) == ("1", "e", "ä\nb")


@pytest.mark.parametrize(
    ("answer", "exit_code", "says"),
    [
        (status(400), Exit.SERVER, "400, no event stream"),
        (status(401), Exit.AUTH, "401"),
        (status(403), Exit.AUTH, "403"),
        (status(404), Exit.SERVER, "404, no event stream"),
        (status(503), Exit.CANNOT_CONNECT, "503"),
        (status(302, headers="Location: /stream\r\n"), Exit.SERVER, "redirects"),
        (status(302, headers="Location: ftp://h/\r\n"), Exit.SERVER, "redirects"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", Exit.SERVER,
         "/stream sent application/json, not text/event-stream"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Exit.SERVER, "sent no content type"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Exit.CANNOT_CONNECT, "does not speak HTTP"),
        (b"", Exit.CANNOT_CONNECT, "does not speak HTTP"),
        (HEAD + b"data: " + b"x" * 1_100_000 + b"\n\n", Exit.SERVER, "a line of more than"),
    ],
)  # fmt: skip
async def test_what_ends_it_at_once(answer: bytes, exit_code: Exit, says: str) -> None:
    async with fake_stream(answer) as server, open_stream(server) as stream:
        with pytest.raises(CliError) as caught:
            await collect(stream)
    assert caught.value.exit_code == exit_code
    assert says in caught.value.message


STREAM = {"Content_Type": "text/event-stream"}


@pytest.mark.parametrize(
    ("lie", "says"),
    [
        (endless(HEAD, b"x" * 65_536), "a line of more than 1048576 bytes"),
        (endless(HEAD, b"data: " + b"x" * 65_536 + b"\n"), "an event of more than 4194304 bytes"),
        (gzip_bomb(b" ", **STREAM), "a line of more than 1048576 bytes"),
        (gzip_bomb(b"data: " + b"x" * 1_000 + b"\n", **STREAM), "an event of more than 4194304 bytes"),
        (head(200, Content_Encoding="br", **STREAM) + b"x", "'br', which was not asked for"),
        (head(200, Content_Encoding="gzip", **STREAM) + b"data: a\n\n", "not gzip"),
        (status(302, headers="Location: http://127.0.0.1:9/\r\n"), "redirects to another server, http://127"),
    ],
)
async def test_a_server_that_lies_ends_it(lie: Answer, says: str) -> None:
    tracemalloc.start()
    try:
        async with fake_stream(lie) as server, open_stream(server) as stream:
            with pytest.raises(CliError) as caught:
                await collect(stream)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.exit_code == Exit.SERVER
    assert says in caught.value.message
    assert peak < 16 * 1024 * 1024


async def test_a_compressed_stream_is_read_as_it_comes() -> None:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, Content_Encoding="gzip", **STREAM))
        for data in (b"data: a\n\n", b"data: b\n\n"):
            writer.write(packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))
            await writer.drain()
        await hold(writer)

    async with fake_stream(answer) as server, open_stream(server) as stream:
        assert data_of(await collect(stream, until_data="b")) == ["a", "b"]


async def test_a_head_that_comes_too_slowly_is_a_loss() -> None:
    """Each byte is in time, and the end never comes."""
    async with fake_stream(drip(b"", HEAD[:-2] + b"X-A: " + b"x" * 9_999)) as server:
        endpoint = parse_endpoint(server.url)
        reconnect = Reconnect(random.Random(3), started=0.0)
        async with make_http(endpoint, headers=[], connect_timeout_s=0.2, read_timeout_s=0.2) as http:
            stream = StreamFollower(http, server.url, where=endpoint.authority, reconnect=reconnect)
            with pytest.raises(CliError, match=r"sent nothing for 0\.2 s") as caught:
                await collect(stream)
    assert caught.value.exit_code == Exit.CANNOT_CONNECT


@pytest.mark.parametrize("event_id", [b"a\x01b", b"\x7f", b"x" * 65_537])
async def test_an_id_that_no_header_can_have(event_id: bytes) -> None:
    answer = HEAD + b"id: " + event_id + b"\ndata: a\n\n"
    async with fake_stream(answer) as server, open_stream(server) as stream:
        with pytest.raises(CliError, match="an event id that cannot be sent back") as caught:
            await collect(stream)
    assert caught.value.exit_code == Exit.SERVER
    assert len(server.requests) == 1


async def test_an_id_with_space_around_it_is_sent_without() -> None:
    """Fetch, section 2.2.2: a header's value is normalised."""
    answer = HEAD + b"id:  7 \t\ndata: a\n\n"
    async with fake_stream(answer, status(204)) as server, open_stream(server) as stream:
        await collect(stream)
    assert server.header("Last-Event-ID") == [None, "7"]


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503])
async def test_what_passes_is_tried_again_once_it_had_stood(code: int) -> None:
    async with (
        fake_stream(
            HEAD + b"data: a\n\n",
            status(code, headers="Retry-After: 0\r\n"),
            HEAD + b"data: b\n\n",
            status(204),
        ) as server,
        open_stream(server) as stream,
    ):
        items = await collect(stream)
    assert data_of(items) == ["a", "b"]
    assert f"HTTP {code}" in [item.reason for item in items if isinstance(item, Lost)]


@pytest.mark.parametrize("code", [400, 401, 403, 404])
async def test_what_does_not_pass_ends_it_also_later(code: int) -> None:
    async with fake_stream(HEAD + b"data: a\n\n", status(code)) as server, open_stream(server) as stream:
        with pytest.raises(CliError) as caught:
            await collect(stream)
    assert caught.value.exit_code == (Exit.AUTH if code in (401, 403) else Exit.SERVER)


async def test_a_refused_token_is_read_again_once() -> None:
    given: list[str] = []

    def token() -> str:
        given.append(f"t{len(given)}")
        return given[-1]

    async with (
        fake_stream(HEAD + b"data: a\n\n", status(401), HEAD + b"data: b\n\n", status(401)) as server,
        open_stream(server, token=token) as stream,
    ):
        with pytest.raises(CliError, match="401"):
            await collect(stream)
    assert server.header("Authorization") == [f"Bearer t{number}" for number in range(5)]


async def test_silence_is_a_loss() -> None:
    async with (
        fake_stream(keep_open(b"id: 1\ndata: a\n\n"), HEAD + b"data: b\n\n", status(204)) as server,
        open_stream(server, idle_s=0.2) as stream,
    ):
        items = await collect(stream)
    assert data_of(items) == ["a", "b"]
    assert next(item.reason for item in items if isinstance(item, Lost)) == "idle 0.2 s"
    assert server.header("Last-Event-ID")[1] == "1"


async def test_a_stream_that_ends_at_once_is_not_asked_again_at_once_whatever_it_says() -> None:
    async with fake_stream(HEAD + b"retry: 0\ndata: a\n\n") as server:
        endpoint = parse_endpoint(server.url)
        reconnect = Reconnect(random.Random(3), started=0.0)
        async with make_http(endpoint) as http:
            stream = StreamFollower(http, server.url, where=endpoint.authority, reconnect=reconnect)
            async with aclosing(stream.items()) as items:
                lost = await until_lost(items)
    assert lost == Lost("ended", FLOOR_S, 1)


async def test_what_cannot_be_sent_is_an_error_and_no_loss() -> None:
    async with fake_stream(HEAD + b"data: a\n\n", status(204)) as server:
        endpoint = parse_endpoint(server.url)
        reconnect = Reconnect(random.Random(3), started=0.0, wait_s=1e9)
        async with make_http(endpoint, headers=[("X-Own", "a\nb")]) as http:
            stream = StreamFollower(http, server.url, where=endpoint.authority, reconnect=reconnect)
            with pytest.raises(CliError, match="cannot be sent: a header field has a value") as caught:
                await collect(stream)
    assert caught.value.exit_code == Exit.USAGE
    assert server.requests == []


@pytest.mark.parametrize("retry", ["-5", "1_000", "9e99", "٣", "1.5", ""])
async def test_a_wish_that_is_no_number_is_ignored(retry: str) -> None:
    answer = HEAD + f"retry: {retry}\ndata: a\n\n".encode()
    async with fake_stream(answer, status(204)) as server, open_stream(server) as stream:
        items = await collect(stream)
    assert [item.retry_in_s <= 0.02 for item in items if isinstance(item, Lost)] == [True]


async def test_events_that_came_together_are_handed_out_together_and_fast() -> None:
    payload = b"".join(b"id: %d\ndata: {}\n\n" % number for number in range(20_000))
    async with fake_stream(HEAD + payload, status(204)) as server, open_stream(server) as stream:
        items = await collect(stream)
    assert len(data_of(items)) == 20_000
    assert len(items) < 2_000
    assert stream.last_event_id == "19999"
