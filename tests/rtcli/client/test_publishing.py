"""The publishing client against an HTTP server that gives scripted answers."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest

from rtcli.client.backoff import Reconnect
from rtcli.client.failures import Failure
from rtcli.client.publishing import GIVE_UP_S, Part, Publisher, Server
from rtcli.errors import CliError, Exit
from tests.support.http.threaded import reply, threaded_http
from tests.support.ports import free_port

OK = {"status": 201, "published": {"channel": "room:a", "epoch": "k3f9", "offset": 1, "position": "k3f9-1"}}
OK["published"] = {**OK["published"], "duplicate": False}  # type: ignore[dict-item]


def results(*statuses: int) -> tuple[int, Any]:
    """An answer 200 with one result for each status."""
    parts = [
        OK if status < 300 else {"status": status, "code": "c", "detail": "d", "retry_after_ms": 250}
        for status in statuses
    ]
    return 200, {"results": parts}


class Scripted:
    """Gives its answers one after the other, the last one again and again, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, ...]] = []
        self.tokens: list[str | None] = []
        self.base = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", "0")))
        self.tokens.append(handler.headers.get("authorization"))
        if body:
            self.asked.append(tuple(part["content"] for part in json.loads(body)["publications"]))
        status, value = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status == 0:  # the answer is lost
            handler.close_connection = True
            return
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        reply(handler, status, data, **({"Retry_After": "3"} if status in {429, 503} else {}))


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    with threaded_http(server.answer) as server.base:
        yield server


class Slept:
    """A publisher whose clock only its own sleeps move."""

    def __init__(self, base: str, wait_s: float | None = None) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.failures: list[str] = []
        self.tokens = iter(f"t{number}" for number in range(1_000_000))
        self.http = httpx.AsyncClient(trust_env=False, timeout=10)
        server = Server(self.http, base, "here:1", lambda: next(self.tokens))
        self.publisher = Publisher(
            server,
            Reconnect(random.Random(1), started=0.0, wait_s=wait_s),
            on_retry=self.on_retry,
            sleep=self.sleep,
            clock=lambda: self.now,
        )

    def on_retry(self, failure: Failure, delay_s: float) -> None:
        del delay_s
        self.failures.append(failure.reason)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def publish(self, *contents: str) -> list[int]:
        parts = [Part(0, {"room": "a", "content": content, "id": content}) for content in contents]
        return [result.status for result in await self.publisher.publish(parts)]


Make = Callable[..., Slept]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Make publishers, whose connections are closed at the end."""
    made: list[Slept] = []

    def new(base: str, wait_s: float | None = None) -> Slept:
        made.append(Slept(base, wait_s))
        return made[-1]

    yield new
    for client in made:
        await client.http.aclose()


async def test_each_part_gets_its_answer_each_request_a_fresh_token(scripted: Scripted, make: Make) -> None:
    scripted.answers = [results(201, 403, 201)]
    client = make(scripted.base)
    await client.publisher.probe()
    assert await client.publish("a", "b", "c") == [201, 403, 201]
    assert scripted.tokens == ["Bearer t0", "Bearer t1"]
    assert client.slept == []


@pytest.mark.parametrize("status", [429, 503])
async def test_the_order_stays_when_a_part_comes_again(scripted: Scripted, make: Make, status: int) -> None:
    scripted.answers = [results(201, status, 201), results(201, 201)]
    client = make(scripted.base)
    assert await client.publish("a", "b", "c") == [201, 201, 201]
    assert scripted.asked == [("a", "b", "c"), ("b", "c")]
    assert client.slept == [0.25]
    assert client.failures == ([] if status == 429 else ["c"])


async def test_a_pace_is_kept_however_long_it_takes(scripted: Scripted, make: Make) -> None:
    scripted.answers = [results(429)] * 20 + [(429, {"status": 429, "retry_after_ms": 50}), results(201)]
    client = make(scripted.base)
    assert await client.publish("a") == [201]
    assert client.slept == [0.25] * 20 + [0.05]
    assert client.failures == []


async def test_a_pace_without_milliseconds(scripted: Scripted, make: Make) -> None:
    scripted.answers = [(429, b"<html>"), results(201)]
    client = make(scripted.base)
    assert await client.publish("a") == [201]
    assert client.slept == [3.0]


async def test_a_lost_answer_is_asked_for_again(scripted: Scripted, make: Make) -> None:
    scripted.answers = [results(201), (0, None), (503, {}), results(201, 201)]
    client = make(scripted.base)
    assert await client.publish("a") == [201]
    assert await client.publish("b", "c") == [201, 201]
    assert scripted.asked == [("a",), ("b", "c"), ("b", "c"), ("b", "c")]
    assert len(client.failures) == 2


async def test_a_server_that_has_gone_is_given_up_in_the_end(scripted: Scripted, make: Make) -> None:
    scripted.answers = [results(201), (503, {})]
    client = make(scripted.base)
    assert await client.publish("a") == [201]
    with pytest.raises(CliError, match="cannot serve this now") as caught:
        await client.publish("b")
    assert caught.value.exit_code is Exit.CANNOT_CONNECT
    assert client.now > GIVE_UP_S


async def test_a_log_that_is_down_is_given_up_in_the_end(scripted: Scripted, make: Make) -> None:
    scripted.answers = [results(201, 503), results(503)]
    client = make(scripted.base)
    with pytest.raises(CliError, match="cannot publish this now") as caught:
        await client.publish("a", "b")
    assert caught.value.exit_code is Exit.CANNOT_CONNECT
    assert client.now > GIVE_UP_S
    assert set(scripted.asked[1:]) == {("b",)}


async def test_nobody_there(make: Make) -> None:
    client = make(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(CliError, match="refused the connection") as caught:
        await client.publisher.probe()
    assert caught.value.exit_code is Exit.CANNOT_CONNECT
    assert client.slept == []
    waiting = make(f"http://127.0.0.1:{free_port()}", wait_s=5.0)
    with pytest.raises(CliError, match="refused the connection"):
        await waiting.publisher.probe()
    assert waiting.now >= 5.0


@pytest.mark.parametrize(
    ("status", "exit_code"), [(401, Exit.AUTH), (403, Exit.AUTH), (400, Exit.SERVER), (404, Exit.SERVER)]
)
async def test_what_trying_again_cannot_mend(
    scripted: Scripted, make: Make, status: int, exit_code: Exit
) -> None:
    scripted.answers = [(status, {"status": status, "code": "x", "detail": "y"})]
    client = make(scripted.base, wait_s=100)
    with pytest.raises(CliError) as caught:
        await client.publish("a")
    assert caught.value.exit_code is exit_code
    assert client.slept == []


@pytest.mark.parametrize(
    "value", [b"<html>", b"", {"results": []}, {"results": [OK, OK]}, {"results": [{}]}, []]
)
async def test_answers_of_another_program(scripted: Scripted, make: Make, value: object) -> None:
    scripted.answers = [(200, value)]
    with pytest.raises(CliError, match="does not answer as a server of rtcli does") as caught:
        await make(scripted.base).publish("a")
    assert caught.value.exit_code is Exit.SERVER
