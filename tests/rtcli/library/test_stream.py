"""`rtcli.events`: streams of our own servers and of any other."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator

import pytest

import rtcli
from tests.support.fakes.scripted_stream import HEAD, fake_stream, hold, status
from tests.support.servers.live_server import LiveServer, live_server, token
from tests.support.waiting import until


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(rate_limit_per_s=None) as running:
        yield running


def keep_open(data: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + data)
        await writer.drain()
        await hold(writer)

    return answer


async def test_any_stream_comes_back_and_resumes_and_ends_when_it_is_told() -> None:
    first, second = b"retry: 1\nid: 1\ndata: a\n\n", b'event: e\nid: 2\ndata: {"b": 2}\n\n'
    answers = (HEAD + first, HEAD + second, status(204))
    async with fake_stream(*answers) as other, rtcli.events(other.url) as stream:
        updates = stream.updates()
        assert not stream.is_rtcli
        events = [event async for event in stream]
        assert [(event.event, event.data, event.id) for event in events] == [
            ("message", "a", "1"), ("e", '{"b": 2}', "2"),
        ]  # fmt: skip
        assert events[1].json() == {"b": 2}
        kinds = [type(update) async for update in updates]
        assert kinds.count(rtcli.Opened) == 2
        assert kinds.count(rtcli.Lost) == 2
        assert other.header("Last-Event-ID") == [None, "1", "2"]
        assert other.header("Authorization") == [None] * 3


async def test_another_server_gets_a_token_only_if_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTCLI_TOKEN", "of-the-environment")
    async with fake_stream(keep_open(b"data: a\n\n")) as other:
        async with rtcli.events(other.url) as stream:
            await anext(stream)
        async with rtcli.events(other.url, token="given", headers={"X-Own": "1"}) as stream:
            await anext(stream)
        assert other.header("Authorization") == [None, "Bearer given"]
        assert other.header("X-Own") == [None, "1"]


async def test_a_stream_that_answers_a_request_has_an_end() -> None:
    parts = b"".join(b'data: {"n": %d}\n\n' % number for number in range(3))
    async with fake_stream(HEAD + parts + b"data: [DONE]\n\ndata: more\n\n") as other:
        async with rtcli.events(other.url, content='{"stream": true}') as stream:
            assert [event.json()["n"] async for event in stream] == [0, 1, 2]
        assert other.header("Content-Type") == ["application/json"]
        assert len(other.requests) == 1
    async with fake_stream(HEAD + parts) as other, rtcli.events(other.url, once=True) as stream:
        assert len([event async for event in stream]) == 3
        assert len(other.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"method": "P OST"}, "is no method"),
        ({"rooms": ["a"]}, "rooms are for the streams of rtcli servers"),
        ({"last_event_id": "a\nb"}, "line break"),
        ({"url": "http://127.0.0.1:1", "content": "x"}, "for other servers"),
        ({"url": "http://127.0.0.1:1", "rooms": ["a?"]}, "cannot be a room"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, object], says: str) -> None:
    given = {"url": "http://127.0.0.1:1/other"} | arguments
    with pytest.raises(rtcli.UsageError, match=says):
        rtcli.events(**given)  # type: ignore[arg-type]


async def test_our_own_stream_resumes_over_a_new_one(server: LiveServer) -> None:
    async with rtcli.connect(server.url, token=token()) as client:
        async with rtcli.events(server.url, rooms=["a", "b"], token=token()) as stream:
            assert stream.is_rtcli
            for room, text in (("a", "1"), ("b", "2"), ("a", "3")):
                await client.publish(room, text)
            texts = [(await anext(stream)).json()["content"] for _ in range(2)]
            event = await anext(stream)
            assert [*texts, event.json()["content"]] == ["1", "2", "3"]
        for text in ("4", "5"):
            await client.publish("a", text)
        async with rtcli.events(
            server.url, rooms=["a", "b"], token=token(), last_event_id=event.id
        ) as stream:
            updates = stream.updates()
            assert [(await anext(stream)).json()["content"] for _ in range(2)] == ["4", "5"]
            opened = await anext(updates)
            assert isinstance(opened, rtcli.Opened)
            assert (opened.resumes, opened.caught_up) == (True, 2)
            seen = [await anext(updates) for _ in range(4)]
            assert [type(update) for update in seen] == [
                rtcli.StreamEvent, rtcli.StreamEvent, rtcli.StreamEvent, rtcli.CaughtUp,
            ]  # fmt: skip


async def test_what_is_missing_is_the_gap_of_the_next_event(server: LiveServer) -> None:
    cursor = "gaps=aaaa-7,~me=aaaa-0,~all=aaaa-0"
    async with (
        rtcli.connect(server.url, token=token()) as client,
        rtcli.events(server.url, rooms=["gaps"], token=token(), last_event_id=cursor) as stream,
    ):
        await client.publish("gaps", "new")
        event = await anext(stream)
        assert event.gap == rtcli.Gap("gaps", None, "epoch_changed")
        assert event.gap.after == rtcli.Position("aaaa", 7)
    async with rtcli.events(server.url, rooms=["gaps"], token=token(), last_event_id=cursor) as stream:
        updates = stream.updates()
        gaps = [update for update in [await anext(updates) for _ in range(5)] if type(update) is rtcli.Gap]
        assert {gap.room for gap in gaps} == {"gaps", "~me", "~all"}


async def test_a_slow_reader_stops_the_reading_and_misses_nothing() -> None:
    data = b"".join(b"id: %d\ndata: %s\n\n" % (number, b"x" * 200) for number in range(50_000))
    async with fake_stream(keep_open(data)) as other, rtcli.events(other.url, buffer=16) as stream:
        first = await anext(stream)
        await until(lambda: stream.pending >= 8)
        for _ in range(20):
            await asyncio.sleep(0.005)
            assert stream.pending <= 16
        ids = [int(first.id)]
        async for event in stream:
            ids.append(int(event.id))
            if event.id == "49999":
                break
        assert ids == list(range(50_000))


async def test_cancelled_readers_lose_nothing() -> None:
    data = b"id: 1\ndata: a\n\nid: 2\ndata: b\n\n"
    async with fake_stream(keep_open(data)) as other, rtcli.events(other.url) as stream:
        got: list[str] = []
        for _ in range(5):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    got.append((await anext(stream)).data)
        assert got == ["a", "b"]
        assert len(other.requests) == 1


async def test_what_ends_it_is_raised_where_it_is_read() -> None:
    async with fake_stream(status(404)) as other:
        with pytest.raises(rtcli.UnexpectedAnswerError, match="404"):
            async with rtcli.events(other.url):
                pass
    async with fake_stream(HEAD + b"data: a\n\n", status(403)) as other, rtcli.events(other.url) as stream:
        updates = stream.updates()
        assert (await anext(stream)).data == "a"
        for reader in (stream, stream):
            with pytest.raises(rtcli.RefusedError):
                await anext(reader)
        with pytest.raises(rtcli.RefusedError):
            assert [update async for update in updates] == []


async def test_it_has_to_be_opened_first() -> None:
    stream = rtcli.events("http://127.0.0.1:1/x")
    with pytest.raises(rtcli.ClosedError, match="was not opened"):
        aiter(stream)
    await stream.close()
    with pytest.raises(rtcli.ClosedError):
        stream.start()
    assert [event async for event in stream] == []
    assert json.dumps(stream.url) == '"http://127.0.0.1:1/x"'
