"""`rtcli.blocking`: in scripts, in threads, where a loop runs already, and when it is interrupted."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

import rtcli
from tests.support.fakes.scripted_stream import HEAD, fake_stream, status
from tests.support.servers.live_server import LiveServer, live_server, token
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(rate_limit_per_s=None) as running:
        yield running


def client_of(server: LiveServer, sub: str = "7") -> rtcli.blocking.Client:
    return rtcli.blocking.connect(server.url, token=token(sub))


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "rtcli.blocking"]


def test_a_script_publishes_and_reads(server: LiveServer) -> None:
    with client_of(server) as client:
        room = client.room("script")
        acks = [client.publish("script", f"{number}") for number in range(3)]
        assert [ack.position.offset for ack in acks] == [1, 2, 3]
        got = []
        for message in room:
            got.append(message.content)
            if message.content == "2":
                break
        assert got == ["0", "1", "2"]
        with pytest.raises(TimeoutError):
            room.get(timeout_s=0.05)
        client.publish("script", "3")
        assert room.get(timeout_s=10).content == "3"
        assert [message.content for message in client.history("script", 2)] == ["2", "3"]
        assert (client.rooms, client.connected, client.user_id) == (["script"], True, 7)
        assert client.position("script") == rtcli.Position(acks[0].position.epoch, 4)
        assert "script=" in client.cursor
        client.leave("script")
        assert list(room) == []
    assert threads() == []
    with pytest.raises(rtcli.ClosedError):
        client.publish("script", "x")
    with pytest.raises(rtcli.ClosedError):
        room.get()
    client.close()


async def test_it_works_where_a_loop_runs_already(server: LiveServer) -> None:
    with client_of(server) as client:
        assert client.publish("loop", "hello").position.offset == 1
        assert client.room("loop", history=1).get(timeout_s=10).content == "hello"


def test_updates_and_joining(server: LiveServer) -> None:
    with client_of(server) as client:
        updates = client.updates()
        client.join("updates")
        assert isinstance(updates.get(timeout_s=10), rtcli.Joined | rtcli.RoundTrip)


def test_threads_may_share_a_client(server: LiveServer) -> None:
    with client_of(server) as client:
        room = client.room("threads")
        senders = [
            threading.Thread(target=client.publish, args=("threads", f"{number}")) for number in range(8)
        ]
        for sender in senders:
            sender.start()
        assert {room.get(timeout_s=10).content for _ in senders} == {f"{number}" for number in range(8)}
        for sender in senders:
            sender.join()


def test_errors_are_those_of_the_library(server: LiveServer) -> None:
    with pytest.raises(rtcli.UsageError):
        rtcli.blocking.connect("nonsense")
    with pytest.raises(rtcli.CannotConnectError):
        rtcli.blocking.connect("http://127.0.0.1:1", token="t")
    with pytest.raises(rtcli.RefusedError):
        rtcli.blocking.connect(server.url, token="not-a-token")
    assert threads() == []


def test_one_that_is_forgotten_is_closed(server: LiveServer) -> None:
    client = client_of(server, "forgotten")
    room = client.room("forgotten")
    assert len(threads()) == 1
    del client, room
    gc.collect()
    wait_until(lambda: threads() == [])


def test_a_reader_that_is_forgotten_holds_nobody_up(server: LiveServer) -> None:
    with rtcli.blocking.connect(server.url, token=token("a"), buffer=2) as client:
        room = client.room("forgetful")
        with pytest.raises(TimeoutError):
            client.room("forgetful").get(timeout_s=0.01)
        gc.collect()
        for number in range(12):
            client.publish("forgetful", f"{number}")
            assert room.get(timeout_s=10).content == f"{number}"


def test_a_token_function_cannot_use_its_own_client(server: LiveServer) -> None:
    clients: list[rtcli.blocking.Client] = []
    raised: list[BaseException] = []

    def fresh() -> str:
        for client in clients:
            try:
                client.history("general")
            except RuntimeError as error:
                raised.append(error)
        return token("7", ttl_s=2.5)

    with rtcli.blocking.connect(server.url, token=fresh) as client:
        clients.append(client)
        wait_until(lambda: bool(raised))
    assert "cannot use the client that it is for" in str(raised[0])


INTERRUPTED = """
import sys, threading, signal, os, time, rtcli
url, token = sys.argv[1:]
with rtcli.blocking.connect(url, token=token) as client:
    room = client.room("interrupted")
    got = []
    for turn in range(20):
        client.publish("interrupted", str(turn))
        try:
            threading.Timer(0.005 * (turn % 3), os.kill, (os.getpid(), signal.SIGINT)).start()
            for message in room:
                got.append(message.content)
        except KeyboardInterrupt:
            pass
    while len(got) < 20:
        got.append(room.get(timeout_s=10).content)
    print(got == [str(turn) for turn in range(20)])
"""


def test_what_is_interrupted_loses_nothing(server: LiveServer) -> None:
    command = [sys.executable, "-W", "error", "-c", INTERRUPTED, server.url, token()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (run.stdout, run.stderr) == ("True\n", "")


UNCLOSED = """
import sys, rtcli
client = rtcli.blocking.connect(sys.argv[1], token=sys.argv[2])
room = client.room("unclosed")
print(client.publish("unclosed", "x").position.offset)
"""


def test_a_program_ends_without_closing(server: LiveServer) -> None:
    command = [sys.executable, "-W", "default", "-c", UNCLOSED, server.url, token("gone")]
    started = time.monotonic()
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "1\n", "")
    assert time.monotonic() - started < 30
    assert signal.getsignal(signal.SIGINT) is not None


async def test_any_stream() -> None:
    def read(url: str) -> list[str]:
        with rtcli.blocking.events(url) as stream:
            updates = stream.updates()
            assert next(stream).data == "a"
            rest = [event.data for event in stream]
            assert any(isinstance(update, rtcli.Lost) for update in updates)
            return rest

    answers = (HEAD + b"retry: 1\n\ndata: a\n\n", HEAD + b"data: b\n\ndata: c\n\n", status(204))
    async with fake_stream(*answers) as other:
        assert await asyncio.to_thread(read, other.url) == ["b", "c"]
    assert threads() == []
