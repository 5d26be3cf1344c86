"""`rtcli.connect` against real servers: what a program reads, publishes, and is told when it cannot."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest

import rtcli
from rtcli.protocol.messages import client as c
from rtcli.protocol.messages import server as s
from rtcli.protocol.tokens import RoomGrant
from tests.support.fakes.scripted_server import FakeServer, fake_server
from tests.support.fakes.scripted_stream import fake_stream, status
from tests.support.servers.live_server import LiveServer, live_server, token
from tests.support.waiting import until


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(rate_limit_per_s=None) as running:
        yield running


@asynccontextmanager
async def client_of(server: LiveServer, sub: str = "7", **arguments: object) -> AsyncIterator[rtcli.Client]:
    async with rtcli.connect(server.url, token=token(sub), **arguments) as client:  # type: ignore[arg-type]
        yield client


async def take(reader: AsyncIterator[rtcli.Message], count: int) -> list[str]:
    """The texts of the next messages."""
    async with asyncio.timeout(20):
        return [(await anext(reader)).content for _ in range(count)]


async def test_a_text_has_its_position_whether_the_room_is_joined_or_not(server: LiveServer) -> None:
    async with client_of(server) as client:
        outside = await client.publish("places", "one")
        room = client.room("places", history=10)
        inside = await client.publish("places", "two")
        first, second = await anext(room), await anext(room)  # a replay of it could answer the repeat
        again = await client.publish("places", "two", id=inside.id)
        assert (outside.position.offset, inside.position.offset) == (1, 2)
        assert (outside.duplicate, inside.duplicate, again.duplicate) == (False, False, True)
        assert again.position == inside.position
        assert [(one.content, one.position, one.own) for one in (first, second)] == [
            ("one", outside.position, True), ("two", inside.position, True),
        ]  # fmt: skip
        assert [one.content for one in await client.history("places")] == ["one", "two"]
        assert client.position("places") == inside.position
        assert client.user_id == 7


async def test_an_id_of_ones_own_counts_on_both_ways(server: LiveServer) -> None:
    async with client_of(server) as client:
        outside = await client.publish("ids", "once", id="order-1")
        room = client.room("ids", since=outside.position)
        assert (await client.publish("ids", "once", id="order-1")).duplicate
        await client.publish("ids", "last")
        assert await take(room, 1) == ["last"]


async def test_a_room_goes_on_after_a_position(server: LiveServer) -> None:
    async with client_of(server) as client:
        acks = [await client.publish("since", f"{number}") for number in range(5)]
        assert await take(client.room("since", since=str(acks[1].position)), 3) == ["2", "3", "4"]


async def test_two_readers_of_a_room_get_everything_and_one_who_left_stops_nobody(server: LiveServer) -> None:
    async with client_of(server, buffer=4) as client:
        first, second = client.room("readers"), client.room("readers")
        await until(lambda: client.settled)
        for number in range(3):
            await client.publish("readers", f"{number}")
        assert await take(first, 3) == await take(second, 3) == ["0", "1", "2"]
        del second
        gc.collect()
        for number in range(3, 30):
            await client.publish("readers", f"{number}")
            assert await take(first, 1) == [f"{number}"]


async def test_a_loop_that_was_left_goes_on_where_it_stopped(server: LiveServer) -> None:
    async with client_of(server) as client:
        room = client.room("left")
        for number in range(4):
            await client.publish("left", f"{number}")
        async for message in room:
            if message.content == "1":
                break
        assert await take(room, 2) == ["2", "3"]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(room)
        await client.publish("left", "4")
        assert await take(room, 1) == ["4"]


async def test_a_slow_reader_keeps_little_and_misses_nothing_and_may_publish(server: LiveServer) -> None:
    """Without the answer to its publish it would not go on reading: a full reader may not stop answers."""
    async with client_of(server, "reader", buffer=8) as reader, client_of(server, "writer") as writer:
        room = reader.room("slow")
        await until(lambda: reader.settled)
        expected = []
        for number in range(200):
            await writer.publish("slow", f"{number}")
            expected.append(f"{number}")
            assert room.pending <= 9
        got: list[str] = []
        async with asyncio.timeout(30):
            async for message in room:
                assert message.gap is None
                if message.sender_id == "writer":
                    got.append(message.content)
                    await asyncio.sleep(0)
                if message.content in {"10", "150"}:
                    assert not (await reader.publish("slow", f"seen {message.content}")).duplicate
                if message.content == "199":
                    break
        assert got == expected
        assert reader.rooms == ["slow"]


async def test_a_slow_reader_of_events_misses_none(server: LiveServer) -> None:
    async with client_of(server, "listener", events=True, buffer=8) as client, publisher(server) as http:
        events = client.events()
        for number in range(60):
            await http.post("/api/v1/events", json={"event": "tick", "data": {"number": number}})
        await until(lambda: events.pending >= 8)
        assert events.pending <= 9
        numbers = []
        async with asyncio.timeout(30):
            async for event in events:
                assert event.gap is None
                numbers.append(event.data["number"])
                if event.data["number"] == 59:
                    break
        assert numbers == list(range(60))


async def test_a_slow_reader_keeps_few_events_for_this_connection_alone(server: LiveServer) -> None:
    async with client_of(server, "alone", buffer=8) as client, publisher(server) as http:
        updates = client.updates()
        path = f"/api/v1/connections/{client.connection_id}/events"
        for number in range(60):
            answer = await http.post(path, json={"event": "hint", "data": {"number": number}})
            assert answer.json() == {"queued": {"here": 1, "deployment": 1}}
        room = client.room("after the hints")
        await client.publish("after the hints", "all of them have come")
        await take(room, 1)
        assert updates.pending < 8 + 10  # and what the room brought
        async with asyncio.timeout(20):
            kept = [await anext(updates) for _ in range(updates.pending)]
        hints = [update for update in kept if isinstance(update, rtcli.Direct)]
        assert hints == [rtcli.Direct("hint", {"number": number}) for number in range(len(hints))]
        assert 0 < len(hints) <= 8


@asynccontextmanager
async def publisher(server: LiveServer) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {token('app', scope='publish admin')}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False) as http:
        yield http


async def test_what_happens_comes_as_values(server: LiveServer) -> None:
    async with client_of(server) as client:
        updates = client.updates()
        client.join("values")
        await until(lambda: client.settled)
        sent = client.send("values", "hello")
        await client.reconnect()
        seen: list[type] = []
        async with asyncio.timeout(20):
            async for update in updates:
                seen.append(type(update))
                if isinstance(update, rtcli.Reconnected):
                    break
        assert {rtcli.Joined, rtcli.Lost, rtcli.Reconnected} <= set(seen)
        await until(lambda: not client.unconfirmed)
        assert sent
        client.leave("values")
        async with asyncio.timeout(20):
            while not isinstance(update := await anext(updates), rtcli.Left):
                pass
        assert not update.forced


async def test_what_is_missing_is_the_gap_of_the_next_message() -> None:
    async with fake_server() as fake, rtcli.connect(url_of(fake), token="t") as client:
        room = client.room("general")
        await until(lambda: client.settled)
        await fake.publish("general", "old")
        assert (await anext(room)).gap is None
        await fake.stop()
        fake.epoch, fake.log = "bbbb", {}
        await fake.start(fake.port)
        await until(lambda: client.settled)
        await fake.publish("general", "new")
        message = await anext(room)
        assert message.content == "new"
        assert message.gap == rtcli.Gap("general", None, "epoch_changed")
        assert message.gap.after == rtcli.Position("aaaa", 1)


def url_of(fake: FakeServer) -> str:
    return f"http://127.0.0.1:{fake.port}"


# -- what cannot be ----------------------------------------------------------------------------------------


async def test_who_is_refused_is_told_so(server: LiveServer) -> None:
    with pytest.raises(rtcli.RefusedError) as refused:
        async with rtcli.connect(server.url, token="not-a-token"):
            pass
    assert refused.value.code == "invalid_token"
    assert refused.value.hint.endswith("then token=")


async def test_who_has_no_token_is_told_how_to_give_one(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTCLI_TOKEN", "")
    with pytest.raises(rtcli.RefusedError, match="no token for") as refused:
        async with rtcli.connect(server.url):
            pass
    assert refused.value.code == "no_token"
    monkeypatch.setenv("RTCLI_TOKEN", token("env"))
    async with rtcli.connect(server.url) as client:
        assert client.user_id == "env"


async def test_a_room_that_is_not_allowed(server: LiveServer) -> None:
    grants = [RoomGrant(match="mine", can=["join", "publish"])]
    async with rtcli.connect(server.url, token=token("guest", rooms=grants)) as client:
        with pytest.raises(rtcli.RefusedError) as refused:
            await anext(client.room("ops"))
        assert refused.value.code == "forbidden"
        with pytest.raises(rtcli.RefusedError) as refused:
            await client.publish("ops", "hello")
        assert refused.value.code == "forbidden"
        assert not (await client.publish("mine", "hello")).duplicate


async def test_who_is_kicked_reads_what_came_and_then_why(server: LiveServer) -> None:
    async with client_of(server, "kicked") as client, publisher(server) as http:
        room = client.room("kicks")
        await client.publish("kicks", "before")
        await http.delete("/api/v1/users/kicked/connections", params={"stay_away_s": 60})
        assert await take(room, 1) == ["before"]
        with pytest.raises(rtcli.RefusedError) as refused:
            await anext(room)
        assert refused.value.code == "kicked"
        with pytest.raises(rtcli.RefusedError):
            await client.publish("kicks", "after")
        with pytest.raises(rtcli.RefusedError):
            client.room("kicks")


async def test_nobody_answers() -> None:
    with pytest.raises(rtcli.CannotConnectError, match="refused the connection") as failed:
        async with rtcli.connect("http://127.0.0.1:1", token="t"):
            pass
    assert "wait_s=30" in failed.value.hint
    assert "--" not in failed.value.hint


async def test_another_server_answers() -> None:
    async with fake_stream(status(404)) as other:
        with pytest.raises(rtcli.UnexpectedAnswerError, match="404, no WebSocket there"):
            async with rtcli.connect(other.base, token="t"):
                pass


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"url": "nonsense"}, "is not a server's URL"),
        ({"url": "http://u:secret@h"}, "no user or password"),
        ({"token": "two words"}, "token="),
        ({"headers": {"a b": "c"}}, "a header is not"),
        ({"headers": [("@/etc/passwd", "x")]}, "cannot begin with @"),
        ({"buffer": 0}, "at least 1"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, object], says: str) -> None:
    given = {"url": "http://127.0.0.1:1", "token": "t"} | arguments
    with pytest.raises(rtcli.UsageError, match=says) as wrong:
        rtcli.connect(**given)  # type: ignore[arg-type]
    assert "secret" not in str(wrong.value)


async def test_calls_that_cannot_be(server: LiveServer) -> None:
    async with client_of(server) as client:
        client.join("here")
        for call in (
            lambda: client.room("what?"),
            lambda: client.room("here", history=5),
            lambda: client.room("x", history=501),
            lambda: client.room("x", since="nonsense"),
            lambda: client.send("elsewhere", "hello"),
            lambda: client.send("here", ""),
            client.events,
        ):
            with pytest.raises(rtcli.UsageError):
                call()
        for publish in (
            client.publish("what?", "x"),
            client.publish("here", "x" * 20_000),
            client.publish("here", "x", id=""),
            client.history("here", 0),
        ):
            with pytest.raises(rtcli.UsageError):
                await publish


async def test_after_the_end() -> None:
    async with fake_server() as fake:
        async with rtcli.connect(url_of(fake), token="t") as client:
            room = client.room("general")
            await until(lambda: client.settled)
            await fake.publish("general", "last")
            await until(lambda: room.pending == 1)
        assert [message.content async for message in room] == ["last"]
        assert [update async for update in client.updates()] == []
        with pytest.raises(rtcli.ClosedError):
            await client.publish("general", "x")
        with pytest.raises(rtcli.ClosedError):
            async with client:
                pass
        await client.close()


# -- lost connections and tokens ---------------------------------------------------------------------------


async def test_a_publish_waits_for_the_connection_and_can_be_repeated_when_it_was_too_long() -> None:
    async with fake_server() as fake, rtcli.connect(url_of(fake), token="t") as client:
        client.join("general")
        await until(lambda: client.settled)
        await fake.stop()
        await until(lambda: not client.connected)
        with pytest.raises(rtcli.NotConfirmedError) as unknown:
            await client.publish("general", "a", timeout_s=0.2)
        waiting = asyncio.ensure_future(client.publish("general", "b"))
        await fake.start(fake.port)
        assert (await waiting).position.offset == 1
        assert (await client.publish("general", "a", id=unknown.value.id)).position.offset == 2
        assert [data.content for data in fake.log["general"]] == ["b", "a"]


async def test_an_answer_that_is_lost_and_a_repeat_are_one_publication() -> None:
    async def swallow(server: FakeServer, _connection: object, message: c.ClientMessage) -> bool:
        if not isinstance(message, c.ChatMessage) or message.id in server.keys:
            return False
        server.keys[message.id or ""] = await server.publish("elsewhere", message.data.content)
        return True

    async with fake_server() as fake, rtcli.connect(url_of(fake), token="t") as client:
        fake.on_message = swallow
        client.join("general")
        with pytest.raises(rtcli.NotConfirmedError) as unknown:
            await client.publish("general", "once", id="mine", timeout_s=0.3)
        assert unknown.value.id == "mine"
        assert (await client.publish("general", "once", id="mine")).duplicate
        assert len(fake.log["elsewhere"]) == 1


async def test_two_with_one_id_at_once_are_a_mistake(server: LiveServer) -> None:
    async with client_of(server) as client:
        client.join("twice")
        first = asyncio.ensure_future(client.publish("twice", "a", id="same"))
        await asyncio.sleep(0)
        with pytest.raises(rtcli.UsageError, match="on its way"):
            await client.publish("twice", "b", id="same")
        assert not (await first).duplicate


async def test_a_token_function_is_asked_before_the_token_expires() -> None:
    asked: list[float] = []

    async def fresh() -> str:
        await asyncio.sleep(0)
        asked.append(time.monotonic())
        return token("7", ttl_s=2.0 + len(asked))

    with live_server() as own:
        async with rtcli.connect(own.url, token=fresh) as client:
            updates = client.updates()
            await until(lambda: len(asked) >= 3)
            await client.publish("general", "still here")
            assert client.connected
            lost = [update for update in [await anext(updates)] if isinstance(update, rtcli.Lost)]
            assert lost == []


async def test_what_a_token_function_raises_ends_the_loops() -> None:
    answers: list[str] = ["t"]

    def once() -> str:
        return answers.pop()

    async with fake_server() as fake, rtcli.connect(url_of(fake), token=once) as client:
        room = client.room("general")
        await until(lambda: client.settled)
        await client.reconnect()
        with pytest.raises(IndexError):
            await anext(room)


async def test_a_room_that_the_server_ends_ends_its_loops() -> None:
    async with fake_server() as fake, rtcli.connect(url_of(fake), token="t") as client:
        room = client.room("general")
        await until(lambda: client.settled)
        (connection,) = fake.connections
        await fake.say(connection, s.RoomLeft(data=c.RoomData("general")))
        with pytest.raises(rtcli.RefusedError) as left:
            await anext(room)
        assert left.value.code == "left"
        assert client.rooms == []


async def test_leaving_ends_what_waits_for_an_answer() -> None:
    async with fake_server() as fake, rtcli.connect(url_of(fake), token="t") as client:
        client.join("general")
        await until(lambda: client.settled)
        await fake.stop()
        publishing = asyncio.ensure_future(client.publish("general", "a", id="x"))
        await asyncio.sleep(0)
        client.leave("general")
        with pytest.raises(rtcli.NotConfirmedError, match="the room was left") as unknown:
            await publishing
        assert unknown.value.id == "x"


async def test_leaving_ends_the_loops_of_that_room_alone(server: LiveServer) -> None:
    async with client_of(server) as client:
        one, other = client.room("leaving"), client.room("staying")
        await until(lambda: client.settled)
        client.leave("leaving")
        assert [message async for message in one] == []
        await client.publish("staying", "here")
        assert await take(other, 1) == ["here"]
