"""What the load client puts on the wire and recognises; its sockets against a real server of a few lines."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jwt
import msgspec
import pytest
import websockets

from benchmarks.client.dialects import DIALECTS, token_for
from benchmarks.client.frames import MARK, STAMP, client_frame, content, own_mark, split_mark
from benchmarks.client.jobs import Closed, Job, Paced, Target
from benchmarks.client.members import (
    INTENDED_US,
    NUMBER,
    Connection,
    PacedPublisher,
    member_steps,
    message_frame,
)
from benchmarks.client.readings import Socket, connect, settle, spread_out
from benchmarks.client.strict import StrictMember, StrictPublisher

PLAIN = DIALECTS["plain"]


def at(port: int) -> Target:
    return Target(port, "plain", [], "")


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_client_frame_is_read_back_by_a_strict_parser(size: int) -> None:
    frame = client_frame(0x1, b"x" * size)
    head = {True: 2, False: 4 if size < 65_536 else 10}[size < 126]
    assert frame[0] == 0x81
    assert frame[1] & 0x80
    assert frame[head : head + 4] == bytes(4)
    assert frame[head + 4 :] == b"x" * size


def test_the_mark_stands_once_in_every_message_and_the_stamp_can_be_read() -> None:
    text = content(7, 12, 1_700_000_000_000_000).encode()
    assert len(text) == 100
    assert text.count(MARK) == 1
    assert STAMP.findall(text) == [b"1700000000000000"]
    assert own_mark(7) in text
    assert own_mark(8) not in text


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_mark_that_is_split_between_two_chunks_is_counted_once(cut: int) -> None:
    stream = b"..^03:..^03:"
    first, tail = split_mark(b"", stream[:cut], b"^03:")
    second, _ = split_mark(tail, stream[cut:], b"^03:")
    assert first + second == 2


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_message_frame_has_a_place_for_number_and_time_in_every_dialect(name: str) -> None:
    frame = message_frame(DIALECTS[name], "bench", 3, "r")
    assert frame.count(b"%d" % NUMBER) == (2 if name == "rtcli-ids" else 1)
    assert frame.count(b"%d" % INTENDED_US) == 1
    assert frame.count(MARK) == 1


def test_the_token_is_one_that_any_library_takes() -> None:
    claims = jwt.decode(token_for("s" * 32, 7, 4e9), "s" * 32, algorithms=["HS256"])
    assert (claims["sub"], claims["name"]) == ("7", "user-7")


def test_publishers_are_spread_evenly_and_the_last_member_is_one() -> None:
    assert spread_out(4, 1_000) == {249, 499, 749, 999}
    assert spread_out(8, 8) == set(range(8))


@pytest.mark.parametrize(
    "job",
    [
        Closed(Target(1, "plain", [2], "s"), 10, 4, 8, 0.5, 1.0, strict=True),
        Paced(Target(1, "plain", [2], "s"), 10, 100.0, 0.5, 1.0, frozen=1),
    ],
)
def test_a_job_survives_the_way_to_the_client(job: Job) -> None:
    assert msgspec.json.decode(msgspec.json.encode(job), type=Job) == job


@asynccontextmanager
async def chat_server() -> AsyncIterator[int]:
    """A chat of a few lines on an independent library."""
    members: set[websockets.ServerConnection] = set()

    async def serve(socket: websockets.ServerConnection) -> None:
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "join_room":
                members.add(socket)
                await socket.send(json.dumps({"type": "room_joined", "data": message["data"]}))
                continue
            sender = {"sender_id": 1, "sender_name": "user-1", "timestamp": "2026-01-01T00:00:00.000Z"}
            data = {**message["data"], **sender}
            websockets.broadcast(members, json.dumps({"type": "new_message", "data": data}))

    async with websockets.serve(serve, "127.0.0.1", 0) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def test_counting_and_parsing_sockets_see_the_same_deliveries() -> None:
    async with chat_server() as port:
        publisher = PacedPublisher(member_steps(PLAIN, "bench", "t"), message_frame(PLAIN, "bench", 0, "r"))
        counting = Connection(member_steps(PLAIN, "bench", "t"))
        parsing = StrictMember([(PLAIN.join("bench"), PLAIN.joined)])
        members: list[Socket] = [publisher, counting, parsing]
        await connect(at(port), [(member, "/ws?token=t") for member in members])
        for number in range(50):
            publisher.send(number)
        await settle(members, 150, 10.0)
        assert [member.received for member in members] == [50, 50, 50]
        for member in members:
            member.abort()


async def test_a_publisher_keeps_its_window_and_stops_when_told() -> None:
    async with chat_server() as port:
        frame = message_frame(PLAIN, "bench", 0, "r")
        publisher = StrictPublisher([(PLAIN.join("bench"), PLAIN.joined)], frame, own_mark(0))
        await connect(at(port), [(publisher, "/ws?token=t")])
        publisher.send(8)
        await settle([publisher], 100, 10.0)
        assert publisher.received >= 100
        assert publisher.number == publisher.answered + 8
        publisher.stopped = True
        await settle([publisher], publisher.number, 10.0)
        assert publisher.received == publisher.answered == publisher.number
        publisher.abort()


async def test_a_member_that_is_refused_says_what_the_server_said() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\nno such luck")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        member = Connection(member_steps(PLAIN, "bench", "t"))
        with pytest.raises(ConnectionError, match="no such luck"):
            await connect(at(port), [(member, "/")])
