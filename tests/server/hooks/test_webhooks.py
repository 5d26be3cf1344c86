"""Hooks over HTTP, with a real server on the other side: one that is good, slow, dead or lying."""

from __future__ import annotations

import asyncio
import base64
import gzip
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import ValidationError

from rtcli_server import Hooks, JoinRequest, Realtime, Refuse, Settings
from rtcli_server.hooks.circuit_breaker import THRESHOLD
from rtcli_server.hooks.webhooks import ATTEMPTS, Webhooks
from rtcli_server.process.runner import ServerHandle, running_server
from tests.support.clients.embedded import Client, connected, embedded_settings, token
from tests.support.ports import free_port
from tests.support.servers.hook_receiver import (
    WEBHOOK_SECRET,
    Answer,
    Asked,
    Receiver,
    answer,
    answer_json,
    hook_receiver,
)
from tests.support.waiting import until


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """The application's server."""
    async with hook_receiver() as receiver:
        yield receiver
    assert receiver.forged == 0


@asynccontextmanager
async def running(url: str, **settings: object) -> AsyncIterator[ServerHandle]:
    """A server of ours that asks there."""
    values = {"webhook_secrets": (WEBHOOK_SECRET,), "port": 0, "drain_timeout_s": 1.0} | settings
    async with running_server(embedded_settings(webhook_url=url, **values)) as server:
        yield server


async def test_the_application_decides(receiver: Receiver) -> None:
    async with running(receiver.url) as server:
        receiver.answer = answer_json(name="Ann B.")
        async with connected(server.port, token()) as ann:
            assert receiver.asked[0].body["type"] == "connect"
            assert receiver.asked[0].body["data"] == {
                "user_id": "7",
                "name": "Ann",
                "address": "127.0.0.1",
                "transport": "websocket",
            }
            receiver.answer = answer_json(refuse="Members only")
            refused = await ann.ask("join_room", room="club")
            assert refused["data"] == {"code": "forbidden", "message": "Members only"}
            receiver.answer = answer(204)
            await ann.ask("join_room", room="a")
            assert receiver.asked[-1].body["data"]["room"] == "a"
            receiver.answer = answer_json(content="gentle")
            await ann.send("chat_message", "m-1", room="a", content="RUDE")
            message = (await ann.until("new_message"))["data"]
            assert (message["content"], message["sender_name"]) == ("gentle", "Ann B.")
            receiver.answer = answer_json()
            await ann.ask("ping")
            for number in range(20):
                await ann.ask("chat_message", f"n-{number}", room="a", content="x")
        assert receiver.connections == 1  # kept for all of it
        assert len({asked.id for asked in receiver.asked}) == len(receiver.asked) == 24
        receiver.answer = answer_json(refuse="Banned")
        headers = {"authorization": f"Bearer {token()}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False) as http:
            assert (await http.get("/api/v1/events/stream")).status_code == 403
            assert (await http.get("/api/v1/rooms/a/messages")).json()["detail"] == "Banned"


async def slow(_asked: Asked, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drop(_asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def trickle(_asked: Asked, writer: asyncio.StreamWriter) -> None:
    """A byte now and then: never too slow for a limit on each read."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless(_asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        await writer.drain()


async def garbage(_asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff" * 100 + b"\r\n\r\n")
    await writer.drain()


BOMB = gzip.compress(b" " * 10_000_000)
LYING = {
    "slow": slow,
    "dropped": drop,
    "a byte now and then": trickle,
    "an answer without end": endless,
    "garbage": garbage,
    "a bomb": answer(200, BOMB, "content-encoding: gzip"),
    "a redirect": answer(307, b"", "location: /elsewhere"),
    "a redirect to another server": answer(302, b"", "location: http://127.0.0.1:1/"),
    "not found": answer(404),
    "another yes": answer(201, b"{}"),
    "broken": answer(500),
    "not JSON": answer(200, b"yes"),
    "no object": answer(200, b"[]"),
    "empty": answer(200, b""),
    "a word that is not known": answer_json(refused="no"),
    "two answers": answer_json(refuse="no", content="x"),
    "an answer to another hook": answer_json(name="x"),
    "of another type": answer_json(content=7),
    "a name twice": answer(200, b'{"refuse":"no","refuse":null}'),
    "a content that is none": answer_json(content=""),
}


@pytest.mark.parametrize("lie", LYING)
async def test_whatever_it_does_the_message_is_denied_and_all_goes_on(receiver: Receiver, lie: str) -> None:
    async with running(receiver.url, hook_deadline_s=0.4) as server, connected(server.port, token()) as ann:
        await ann.ask("join_room", room="a")
        asked = len(receiver.asked)
        receiver.answer = LYING[lie]
        await deny(ann, "m-1")
        attempts = receiver.asked[asked:]
        assert len(attempts) <= ATTEMPTS
        assert len({attempt.id for attempt in attempts}) == 1
        receiver.answer = answer(204)
        assert (await ann.ask("chat_message", "m-1", room="a", content="x"))["type"] == "ack"
        assert server.realtime.metrics.hook_calls["failed"] == 1


async def deny(client: Client, message_id: str) -> None:
    """Publish what is denied because nobody answered."""
    denied = await client.ask("chat_message", message_id, room="a", content="x")
    assert denied["data"]["code"] == "unavailable", denied
    assert denied["data"]["retry_after_ms"] == 1_000


async def test_one_that_recovers_within_the_deadline_is_asked_again(receiver: Receiver) -> None:
    async with running(receiver.url) as server, connected(server.port, token()) as ann:
        await ann.ask("join_room", room="a")
        asked = len(receiver.asked)
        answers = iter([answer(503), drop, answer_json(content="third time")])

        async def next_answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
            take: Answer = next(answers)
            await take(asked, writer)

        receiver.answer = next_answer
        await ann.send("chat_message", "m-1", room="a", content="x")
        assert (await ann.until("new_message"))["data"]["content"] == "third time"
        assert len({attempt.id for attempt in receiver.asked[asked:]}) == 1


async def test_a_dead_one_is_not_asked_for_a_while(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    only_messages = {"webhook_events": ("publish",)}
    async with running(receiver.url, **only_messages) as server, connected(server.port, token()) as ann:
        await ann.ask("join_room", room="a")
        receiver.answer = answer(404)
        for number in range(THRESHOLD):
            await deny(ann, f"m-{number}")
        assert len(receiver.asked) == THRESHOLD
        await deny(ann, "m-x")
        assert len(receiver.asked) == THRESHOLD  # it was not asked
        receiver.answer = answer(204)
        reply = await ann.ask("chat_message", "m-y", room="a", content="x")
        while reply["type"] != "ack":  # until the pause of a second is over
            await asyncio.sleep(0.05)
            reply = await ann.ask("chat_message", "m-y", room="a", content="x")
    said = [record.getMessage() for record in caplog.records if record.name.endswith(".webhooks")]
    assert said == ["the webhook is not asked for a while", "the webhook is asked again"]


async def test_callers_that_go_do_not_keep_others_from_asking(receiver: Receiver) -> None:
    webhooks = Webhooks(
        receiver.url, [WEBHOOK_SECRET], ["join"], deadline_s=60.0, now=time.monotonic, wall=time.time
    )
    asked = JoinRequest(user_id="7", name="Ann", room="a", connection_id=None)
    let_go = asyncio.Event()

    async def hold(_asked: Asked, _writer: asyncio.StreamWriter) -> None:
        await let_go.wait()

    receiver.answer = hold
    try:
        callers = [asyncio.create_task(webhooks.join(asked)) for _ in range(2 * THRESHOLD)]
        await until(lambda: len(receiver.asked) == len(callers))
        for caller in callers:
            caller.cancel()
        assert all(isinstance(end, asyncio.CancelledError) for end in await gathered(callers))
        receiver.answer = answer_json(refuse="Members only")
        assert await webhooks.join(asked) == Refuse("Members only")
    finally:
        let_go.set()
        await webhooks.close()


async def gathered(tasks: list[asyncio.Task[Refuse | None]]) -> list[Refuse | BaseException | None]:
    """How they ended."""
    return list(await asyncio.gather(*tasks, return_exceptions=True))


async def test_nobody_there(caplog: pytest.LogCaptureFixture) -> None:
    async with running(f"http://127.0.0.1:{free_port()}/") as server:
        headers = {"authorization": f"Bearer {token()}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False) as http:
            stream = await http.get("/api/v1/events/stream")
            assert stream.status_code == 200
            assert "event: closing" in stream.text
            assert (await http.get("/api/v1/rooms/a/messages")).status_code == 503
    assert any("the hook connect failed: ConnectError" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    "values",
    [
        {"webhook_url": "ftp://x/", "webhook_secrets": (WEBHOOK_SECRET,)},
        {"webhook_url": "http://user:password@x/", "webhook_secrets": (WEBHOOK_SECRET,)},
        {"webhook_url": "http://x/#a", "webhook_secrets": (WEBHOOK_SECRET,)},
        {"webhook_url": "http://x/"},  # every request is signed
        {"webhook_secrets": ("short",)},
        {"webhook_secrets": ("whsec_" + base64.b64encode(b"short").decode(),)},
        {"webhook_events": ("disconnect",)},
    ],
)
def test_settings_that_cannot_be_meant(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="webhook") as refused:
        Settings.from_env({}, **values)
    assert "password" not in str(refused.value)


def test_there_is_one_who_decides() -> None:
    settings = embedded_settings(webhook_url="http://x/", webhook_secrets=(WEBHOOK_SECRET,))
    with pytest.raises(ValueError, match="who decides"):
        Realtime(settings, hooks=Hooks())
