"""A program on the library while its server is killed, on a log in SQLite: over both transports."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

import rtcli
from rtcli.protocol.tokens import create_token
from tests.support.servers.server_process import SECRET, ServerProcess

TEXTS = 120


def token(sub: str) -> str:
    return create_token(SECRET, sub=sub, now=time.time())


START = "start"  # before the texts that are counted: said until both are there


async def publish_start(client: rtcli.Client, *there: asyncio.Event) -> None:
    """Publish until everybody has heard it."""
    while not all(event.is_set() for event in there):
        await client.publish("general", START)
        await asyncio.sleep(0.05)


async def publish_all(client: rtcli.Client, texts: list[str]) -> list[rtcli.Position]:
    """Publish in order, each until it is confirmed."""
    positions = []
    for text in texts:
        identifier = f"id-{text}"
        while True:
            try:
                ack = await client.publish("general", text, id=identifier, timeout_s=1.0)
            except rtcli.NotConfirmedError:
                continue
            positions.append(ack.position)
            break
        await asyncio.sleep(0.01)
    return positions


async def read_room(
    client: rtcli.Client, got: list[tuple[str, rtcli.Position]], there: asyncio.Event
) -> None:
    async for message in client.room("general"):
        assert message.gap is None
        if message.content == START:
            there.set()
            continue
        got.append((message.content, message.position))
        if len(got) == TEXTS:
            return


async def read_stream(
    stream: rtcli.EventStream, got: list[tuple[str, rtcli.Position]], there: asyncio.Event
) -> None:
    async for event in stream:
        assert event.gap is None
        fields = event.json()
        if fields["content"] == START:
            there.set()
            continue
        got.append((fields["content"], rtcli.Position(fields["epoch"], fields["offset"])))
        if len(got) == TEXTS:
            return


@pytest.mark.timeout(280)
@pytest.mark.parametrize("joins", [True, False], ids=["websocket", "http"])
async def test_each_text_comes_once_and_in_order_through_killed_servers(
    tmp_path: Path, soak: bool, joins: bool
) -> None:
    server = ServerProcess(tmp_path, f"sqlite:{tmp_path}/log.db")
    await server.start()
    by_room: list[tuple[str, rtcli.Position]] = []
    by_stream: list[tuple[str, rtcli.Position]] = []
    try:
        async with (
            rtcli.connect(server.url, token=lambda: token("ann")) as writer,
            rtcli.connect(server.url, token=lambda: token("bob")) as reader,
            rtcli.events(server.url, rooms=["general"], token=lambda: token("eve")) as stream,
            asyncio.timeout(260),
            asyncio.TaskGroup() as group,
        ):
            if joins:
                writer.join("general")
            in_room, on_stream = asyncio.Event(), asyncio.Event()
            group.create_task(read_room(reader, by_room, in_room))
            group.create_task(read_stream(stream, by_stream, on_stream))
            await publish_start(writer, in_room, on_stream)
            writing = group.create_task(publish_all(writer, [f"{number}" for number in range(TEXTS)]))
            for kill in range(kills := 12 if soak else 2):
                while len(by_room) < TEXTS * (kill + 1) // (kills + 1):  # noqa: ASYNC110 - until some came
                    await asyncio.sleep(0.01)
                server.stop(signal.SIGKILL)
                await server.start()
                for client in (writer, reader):
                    if not client.connected:
                        await client.reconnect()  # now, and not after the delay of a long loss
        positions = writing.result()
    finally:
        server.kill()
    expected = [(f"{number}", position) for number, position in enumerate(positions)]
    assert by_room == expected
    assert by_stream == expected
    first = positions[0].offset
    assert [position.offset for position in positions] == list(range(first, first + TEXTS))


@pytest.mark.timeout(200)
def test_a_blocking_reader_goes_on_after_a_killed_server(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, f"sqlite:{tmp_path}/log.db")
    server.start_now()
    try:
        with rtcli.blocking.connect(server.url, token=lambda: token("ann")) as client:
            room = client.room("general")
            client.publish("general", "before")
            assert room.get(timeout_s=60).content == "before"
            server.stop(signal.SIGKILL)
            server.start_now()
            client.publish("general", "after")
            message = room.get(timeout_s=60)
            assert (message.content, message.gap) == ("after", None)
            with rtcli.blocking.events(server.url, rooms=["general"], token=token("eve")) as stream:
                client.publish("general", "last")
                assert stream.get(timeout_s=60).json()["content"] == "last"
    finally:
        server.kill()
