from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest
from websockets.asyncio.server import ServerConnection

from rtcli.client.backoff import Reconnect
from rtcli.client.connection import WebSocketTarget
from rtcli.client.events import (
    Acked,
    ClientEvent,
    Connected,
    ConnectionWarning,
    Gap,
    Joined,
    JoinRefused,
    Lost,
    Message,
    Reconnected,
    Rejected,
    RoundTrip,
)
from rtcli.client.websocket import RealtimeClient
from rtcli.errors import CliError, Exit
from rtcli.protocol.messages import client as c
from rtcli.protocol.messages import server as s
from tests.support.fakes.scripted_server import FakeServer, fake_server
from tests.support.longest_delays import LongestDelays
from tests.support.waiting import until

T = TypeVar("T")


class Session:
    """A client that runs, and its events."""

    def __init__(
        self,
        port: int,
        *,
        token: Callable[[], str | None] = lambda: "t",
        wait_s: float | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.events: list[ClientEvent] = []
        reconnect = Reconnect(
            rng or random.Random(1),
            started=asyncio.get_running_loop().time(),
            wait_s=wait_s,
            base_s=0.01,
            cap_s=0.05,
            floor_s=0.0,
        )
        target = WebSocketTarget(
            f"ws://127.0.0.1:{port}/api/v1/ws", f"127.0.0.1:{port}", token, connect_timeout_s=5.0
        )
        self.client = RealtimeClient(
            target, reconnect=reconnect, id_prefix="me1", on_event=self.events.append,
            clock=asyncio.get_running_loop().time,
        )  # fmt: skip
        self.task = asyncio.ensure_future(self.client.run())

    def all(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    def texts(self) -> list[str]:
        return [event.content for event in self.all(Message)]

    async def end(self) -> None:
        await self.client.close()
        await asyncio.wait_for(self.task, 10)


@asynccontextmanager
async def session(port: int, **options: object) -> AsyncIterator[Session]:
    own = Session(port, **options)  # type: ignore[arg-type]
    try:
        yield own
    finally:
        own.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, CliError):
            await own.task


async def test_join_history_send_ack_and_goodbye() -> None:
    async with fake_server() as server:
        for text in ("a", "b", "c"):
            await server.publish("general", text)
        async with session(server.port) as me:
            me.client.join("general", history=2)
            me.client.send("general", "hello")
            await until(lambda: len(me.all(Acked)) == 1)
            await me.end()
        assert [type(event) for event in me.events if not isinstance(event, RoundTrip)] == [
            Connected, Joined, Message, Message, Message, Acked,
        ]  # fmt: skip
        assert [(m.content, m.history, m.own) for m in me.all(Message)] == [
            ("b", True, False), ("c", True, False), ("hello", False, True),
        ]  # fmt: skip
        assert server.tokens == ["Bearer t"]
        assert me.client.state.unsent == 0


async def test_a_server_that_greets_and_goes_is_left_alone_for_longer_each_time() -> None:
    async with fake_server() as server, session(server.port, rng=LongestDelays()) as me:
        for losses in range(1, 5):
            await until(lambda: me.client.state.connected)
            me.client.cut()
            await until(lambda losses=losses: len(me.all(Lost)) == losses)  # type: ignore[misc]
    assert [(lost.retry_in_s, lost.attempt) for lost in me.all(Lost)] == [
        (0.01, 1), (0.02, 1), (0.04, 1), (0.05, 1),
    ]  # fmt: skip


async def test_a_token_that_no_header_can_have_ends_it() -> None:
    async with fake_server() as server, session(server.port, token=lambda: "a\nX-Other: b") as me:
        with pytest.raises(CliError, match="this is not a token") as caught:
            await asyncio.wait_for(me.task, 10)
    assert caught.value.exit_code == Exit.USAGE
    assert server.tokens == []


async def test_a_killed_server_that_comes_back_with_its_log_costs_nothing() -> None:
    async with fake_server() as server, session(server.port) as me:
        me.client.join("general")
        me.client.join("other")
        await until(lambda: len(me.all(Joined)) == 2)
        await server.publish("general", "before")
        await until(lambda: me.texts() == ["before"])
        await server.stop()
        await server.publish("general", "while away 1")
        await server.publish("general", "while away 2")
        await until(lambda: len(me.all(Lost)) >= 2)
        me.client.send("general", "kept")
        await server.start(server.port)
        await until(lambda: len(me.all(Acked)) == 1)
        assert me.texts() == ["before", "while away 1", "while away 2", "kept"]
        (back,) = me.all(Reconnected)
        assert back.caught_up == 2
        assert me.all(Gap) == []
        assert [joined.rejoined for joined in me.all(Joined)] == [False, False, True, True]


async def test_a_log_that_was_lost_is_said() -> None:
    async with fake_server() as server, session(server.port) as me:
        me.client.join("general")
        await until(lambda: len(me.all(Joined)) == 1)
        await server.publish("general", "old")
        await until(lambda: me.texts() == ["old"])
        await server.stop()
        server.epoch, server.log = "bbbb", {}
        await server.start(server.port)
        await until(lambda: len(me.all(Reconnected)) == 1)
        assert me.all(Gap) == [Gap("general", None, "epoch_changed")]
        await server.publish("general", "new")
        await until(lambda: me.texts() == ["old", "new"])


async def test_an_answer_that_was_lost_is_no_second_publication() -> None:
    async def die_before_the_ack(
        server: FakeServer, connection: ServerConnection, message: c.ClientMessage
    ) -> bool:
        if isinstance(message, c.ChatMessage) and message.id not in server.keys:
            place = await server.publish("general", message.data.content, key=message.id, sender="me")
            server.keys[message.id or ""] = place
            connection.transport.abort()
            return True
        return False

    async with fake_server() as server, session(server.port) as me:
        server.on_message = die_before_the_ack
        me.client.join("general")
        me.client.send("general", "once")
        await until(lambda: len(me.all(Acked)) == 1)
        await until(lambda: len(me.all(Reconnected)) == 1)
        me.client.send("general", "twice")
        await until(lambda: len(me.all(Acked)) == 2)
        assert me.texts() == ["once", "twice"]
        assert [data.content for data in server.log["general"]] == ["once", "twice"]


async def test_texts_keep_their_order_through_rate_limits() -> None:
    refused: list[str] = []

    async def limit(server: FakeServer, connection: ServerConnection, message: c.ClientMessage) -> bool:
        if isinstance(message, c.ChatMessage) and message.data.content not in refused:
            refused.append(message.data.content)
            data = s.ErrorData(code="rate_limited", message="Too many messages", retry_after_ms=5)
            await server.say(connection, s.Error(data=data, id=message.id))
            return True
        return False

    async with fake_server() as server, session(server.port) as me:
        server.on_message = limit
        me.client.join("general")
        sent = [f"text {number}" for number in range(10)]
        for text in sent:
            me.client.send("general", text)
        await until(lambda: len(me.all(Acked)) == 10)
        assert me.texts() == sent
        assert refused == sent


async def test_what_is_refused_for_good_is_said_and_the_rest_goes_on() -> None:
    async def refuse(server: FakeServer, connection: ServerConnection, message: c.ClientMessage) -> bool:
        if isinstance(message, c.ChatMessage) and message.data.content == "bad":
            data = s.ErrorData(code="too_long", message="Content must be shorter")
            await server.say(connection, s.Error(data=data, id=message.id))
            return True
        if isinstance(message, c.JoinRoom) and message.data.room == "ops":
            await server.say(
                connection, s.Error(data=s.ErrorData(code="forbidden", message="no"), id=message.id)
            )
            return True
        return False

    async with fake_server() as server, session(server.port) as me:
        server.on_message = refuse
        me.client.join("general")
        me.client.join("ops")
        me.client.send("ops", "psst")
        me.client.send("general", "bad")
        me.client.send("general", "good")
        await until(lambda: len(me.all(Acked)) == 1)
        assert me.all(JoinRefused) == [JoinRefused("ops", "forbidden", "no")]
        assert {(one.room, one.content, one.code) for one in me.all(Rejected)} == {
            ("ops", "psst", "forbidden"), ("general", "bad", "too_long"),
        }  # fmt: skip
        assert me.texts() == ["good"]
        assert me.client.state.rooms == ["general"]


@pytest.mark.parametrize("code", ["not_in_room", "unavailable"])
async def test_an_error_that_passes_is_tried_again(code: str) -> None:
    seen: list[str] = []

    async def once(server: FakeServer, connection: ServerConnection, message: c.ClientMessage) -> bool:
        if isinstance(message, c.ChatMessage) and not seen:
            seen.append(message.data.content)
            data = s.ErrorData(code=code, message="x", retry_after_ms=1)
            await server.say(connection, s.Error(data=data, id=message.id))
            return True
        return False

    async with fake_server() as server, session(server.port) as me:
        server.on_message = once
        me.client.join("general")
        me.client.send("general", "a")
        me.client.send("general", "b")
        await until(lambda: len(me.all(Acked)) == 2)
        assert me.texts() == ["a", "b"]


async def test_what_the_server_repeats_is_told_once_and_what_it_skips_is_said() -> None:
    async with fake_server() as server, session(server.port) as me:
        me.client.join("general")
        await until(lambda: len(me.all(Joined)) == 1)
        (connection,) = server.connections
        first = await server.publish("general", "1")
        await server.say(connection, s.NewMessage(data=first))
        server.log["general"] += [first, first]  # two that are never sent
        await server.publish("general", "4")
        await until(lambda: me.texts() == ["1", "4"])
        assert me.all(Gap) == [Gap("general", 2, "not_sent")]
        await server.say(connection, s.NewMessage(data=first))
        await until(lambda: len(me.all(ConnectionWarning)) == 1)
        gap = s.GapData(room="general", from_="aaaa-4", to="aaaa-9", lost=5, reason="trimmed")
        await server.say(connection, s.Gap(data=gap))
        server.log["general"] += [first] * 5
        await server.publish("general", "10")
        await until(lambda: me.texts() == ["1", "4", "10"])
        assert me.all(Gap)[1:] == [Gap("general", 5, "trimmed")]


@pytest.mark.parametrize(
    ("data", "lost"),
    [
        ('{"type":"from_the_future","data":{}}', False),
        ('{"type":"new_message","data":{"room":7}}', False),
        ("no json at all", False),
        (b"\x00\x01", False),
        ("x" * 2_000_000, True),
    ],
)
async def test_garbage_is_survived(data: str | bytes, lost: bool) -> None:
    async with fake_server() as server, session(server.port) as me:
        me.client.join("general")
        await until(lambda: len(me.all(Joined)) == 1)
        (connection,) = server.connections
        await connection.send(data)
        await until(lambda: not lost or len(me.all(Reconnected)) == 1)
        me.client.send("general", "still here")
        await until(lambda: len(me.all(Acked)) == 1)
        assert bool(me.all(Lost)) is lost
        assert len(me.all(ConnectionWarning)) <= 1


@pytest.mark.parametrize(
    "garbage", [b"\x81\x85mask.....", b"\x81\x02\xff\xfe", b"\xf1\x00", b"\x81\x7f" + b"\x7f" * 8]
)
async def test_broken_frames_mean_a_new_connection(garbage: bytes) -> None:
    async with fake_server() as server, session(server.port) as me:
        me.client.join("general")
        await until(lambda: len(me.all(Joined)) == 1)
        (connection,) = server.connections
        connection.transport.write(garbage)
        await until(lambda: len(me.all(Reconnected)) == 1)
        assert me.all(Lost)[0].reason.startswith(("1002", "1007", "1009"))


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [
        (1008, "invalid_token", Exit.AUTH),
        (1008, "forbidden", Exit.AUTH),
        (4500, "kicked", Exit.AUTH),
        (4502, "protocol", Exit.SERVER),
        (1000, "bye", Exit.CANNOT_CONNECT),
        (1013, "full", Exit.CANNOT_CONNECT),
    ],
)
async def test_a_server_that_closes_at_once_ends_it_with_the_reason(
    code: int, reason: str, exit_code: Exit
) -> None:
    async def close(connection: ServerConnection) -> bool:
        await connection.close(code, reason)
        return True

    async with fake_server() as server:
        server.on_connect = close
        async with session(server.port) as me:
            with pytest.raises(CliError) as caught:
                await asyncio.wait_for(me.task, 10)
        assert caught.value.exit_code == exit_code
        assert reason in caught.value.message


async def test_a_drain_is_followed_by_a_return_when_the_server_wishes() -> None:
    async with fake_server() as server, session(server.port) as me:
        me.client.join("general")
        await until(lambda: len(me.all(Joined)) == 1)
        (connection,) = server.connections
        closing = s.ClosingData(code=1012, reason="restart", retry_after_ms=20)
        await server.say(connection, s.Closing(data=closing))
        await connection.close(1012, "restart")
        await until(lambda: len(me.all(Reconnected)) == 1)
        assert me.all(Lost)[0] == Lost("1012 restart", 0.02, 1)


async def test_the_token_is_read_again_when_it_expires() -> None:
    tokens = iter(["old", "new", "newer", "newest"])
    async with fake_server() as server, session(server.port, token=lambda: next(tokens)) as me:
        me.client.join("general")
        await until(lambda: len(me.all(Joined)) == 1)
        (connection,) = server.connections
        await server.say(
            connection, s.TokenExpiring(data=s.ExpiryData(expires_at="2026-05-01T09:30:00.000Z"))
        )
        await until(lambda: any(isinstance(message, c.Refresh) for message in server.received))
        assert c.RefreshData("new") in [m.data for m in server.received if isinstance(m, c.Refresh)]
        await connection.close(4002, "token expired")
        await until(lambda: len(me.all(Reconnected)) == 1)
        assert server.tokens == ["Bearer old", "Bearer newer"]


async def test_a_refresh_that_cannot_be_checked_yet_is_repeated_when_the_server_says() -> None:
    """Section 2 of the protocol, "Not yet"; the token is the same one."""
    tokens = iter(["old", "new"])

    async def put_off_once(
        server: FakeServer, connection: ServerConnection, message: c.ClientMessage
    ) -> bool:
        if not isinstance(message, c.Refresh):
            return False
        if server.received.count(message) == 1:
            not_yet = s.ErrorData(code="unavailable", message="Not yet", retry_after_ms=20)
            await server.say(connection, s.Error(data=not_yet, id=message.id))
        return True

    async with fake_server() as server:
        server.on_message = put_off_once
        async with session(server.port, token=lambda: next(tokens)) as me:
            await until(lambda: len(me.all(Connected)) == 1)
            expiring = s.TokenExpiring(data=s.ExpiryData(expires_at="2026-05-01T09:30:00.000Z"))
            await server.say(next(iter(server.connections)), expiring)
            await until(lambda: len([it for it in server.received if isinstance(it, c.Refresh)]) == 2)
            first, second = (it for it in server.received if isinstance(it, c.Refresh))
            assert first == second
            assert first.data.token == "new"
            await me.end()
        assert me.all(ConnectionWarning) == []


async def test_a_token_refused_after_a_good_session_is_read_again_once() -> None:
    async def refuse(connection: ServerConnection) -> bool:
        await connection.close(1008, "invalid_token")
        return True

    async with fake_server() as server, session(server.port) as me:
        me.client.join("general")
        await until(lambda: len(me.all(Joined)) == 1)
        server.on_connect = refuse
        (connection,) = server.connections
        connection.transport.abort()
        with pytest.raises(CliError, match="refused the token"):
            await asyncio.wait_for(me.task, 10)
        assert len(server.tokens) == 3


async def test_heartbeats_are_answered_and_measured() -> None:
    async with fake_server() as server, session(server.port) as me:
        await until(lambda: len(me.all(RoundTrip)) == 1)
        (connection,) = server.connections
        await server.say(connection, s.ServerPing())
        await until(lambda: c.Pong() in server.received)
        me.client.ping()
        await until(lambda: len(me.all(RoundTrip)) == 2)
        assert all(0 <= event.seconds < 15 for event in me.all(RoundTrip))


async def test_a_server_of_another_kind_is_told_apart() -> None:
    async with fake_server() as server:
        server.greet = False

        async def welcome(connection: ServerConnection) -> bool:
            await connection.send("Welcome to something else")
            await connection.wait_closed()
            return True

        server.on_connect = welcome
        async with session(server.port) as me:
            with pytest.raises(CliError, match="does not greet") as caught:
                await asyncio.wait_for(me.task, 10)
        assert caught.value.exit_code == Exit.SERVER


async def answer_once(reply: bytes) -> asyncio.Server:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if reply:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
            await writer.drain()
        writer.close()

    return await asyncio.start_server(handle, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("reply", "exit_code", "says"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", Exit.AUTH, "401"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", Exit.AUTH, "403"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Exit.SERVER, "404, no WebSocket"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", Exit.CANNOT_CONNECT, "503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Exit.SERVER, "200, no WebSocket"),
        (
            b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
            Exit.SERVER,
            "redirects more than 5 times",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Exit.SERVER, "no WebSocket server"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Exit.SERVER, "no WebSocket server"),
        (b"", Exit.CANNOT_CONNECT, "closed the connection"),
    ],
)
async def test_what_else_may_listen_there(reply: bytes, exit_code: Exit, says: str) -> None:
    async with await answer_once(reply) as server:
        port = server.sockets[0].getsockname()[1]
        async with session(port) as me:
            with pytest.raises(CliError) as caught:
                await asyncio.wait_for(me.task, 10)
    assert caught.value.exit_code == exit_code
    assert says in caught.value.message


async def test_a_server_that_is_down() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with session(port) as me:
            with pytest.raises(CliError, match="refused the connection") as caught:
                await asyncio.wait_for(me.task, 10)
    assert caught.value.exit_code == Exit.CANNOT_CONNECT
    assert "rtcli serve" in caught.value.hint


async def test_a_server_that_is_waited_for() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    async with session(port, wait_s=30.0) as me:
        await until(lambda: len(me.all(Lost)) >= 2)
        server = FakeServer()
        await server.start(port)
        try:
            await until(lambda: len(me.all(Connected)) == 1)
            assert me.all(Reconnected) == []
        finally:
            await server.stop()


async def test_a_person_may_hurry_it() -> None:
    async with fake_server() as server, session(server.port) as me:
        me.client.join("general")
        await until(lambda: len(me.all(Joined)) == 1)
        await me.client.reconnect()
        await until(lambda: len(me.all(Reconnected)) == 1)
        assert me.all(Lost)[0].retry_in_s == 0
