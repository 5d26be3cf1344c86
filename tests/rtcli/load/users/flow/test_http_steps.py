"""`http` steps and publications over HTTP, answered by servers that lie."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from rtcli.load.results.model import RunResult
from tests.support.fakes.liars import drip, endless, gzip_bomb, head
from tests.support.fakes.scripted_stream import Answer, fake_stream, hold, status
from tests.support.load.runs import run

STEPS = """
    name: steps
    seed: 9
    phases: [{ name: only, for: 1s }]
    attendance: off
    roles:
"""
STEP = """
      NAME:
        users: 1
        flow:
          - http: { path: "/NAME", headers: { X-Api-Key: s3cret }, timeout: 500ms, capture: { it: a } }
          - think: 60s
"""


def steps(*names: str) -> str:
    """A scenario in which a user for each name makes a request for the path of that name."""
    return STEPS + "".join(STEP.replace("NAME", name) for name in names)


PUBLISH = """
    name: publish
    seed: 9
    phases: [{ name: only, for: 1s }]
    attendance: off
    target: { protocol: sse, publish: { path: "/pub/${room}", body: "${text}" } }
    roles: { writer: { users: 2, flow: [{ send: { room: news, rate: 2/s } }] } }
"""
MIB = 1_048_576


def stay(body: bytes) -> Answer:
    """Answer in order, and leave the connection to the client."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head(Content_Length=str(len(body))) + body)
        await hold(writer)

    return answer


async def peak_of(text: str, url: str) -> tuple[RunResult, int]:
    tracemalloc.start()
    try:
        result = await run(text, url)
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


TOO_LONG = "the server sent an answer of more than 4194304 bytes"
LIES: dict[str, tuple[Answer, str]] = {
    "bomb": (gzip_bomb(), TOO_LONG),
    "endless": (endless(head(), b"x" * 65_536), TOO_LONG),
    "coding": (head(200, Content_Encoding="br") + b"x", "'br', which was not asked for"),
    "slow_body": (drip(head(), b"x"), "ReadTimeout"),
    "slow_head": (drip(b"", head()[:-2] + b"X-A: " + b"x" * 999), "ReadTimeout"),
    "endless_head": (endless(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 999), "RemoteProtocolError"),
}


async def test_a_lie_fails_the_step_and_says_why() -> None:
    async with fake_stream(head()) as server:
        server.by_target = {f"/{name}": lie for name, (lie, _) in LIES.items()}
        result, peak = await peak_of(steps(*LIES), server.base)
    assert result.metrics["checks"].rate == 0
    assert result.metrics["http_req_duration"].count == len(LIES)
    for name, (_, note) in LIES.items():
        assert [text for text in result.notes if name in text and note in text], (name, result.notes)
    assert peak < 64 * MIB


ODD = {"deep": b"[" * 1_000_000, "objects": b'{"a":' * 100_000, "no_text": b"\xff\xfe", "other": b'{"b":1}'}


async def test_an_answer_without_what_is_to_be_captured() -> None:
    async with fake_stream(head()) as server:
        server.by_target = {f"/{name}": stay(body) for name, body in ODD.items()}
        result, _ = await peak_of(steps(*ODD), server.base)
    assert result.metrics["checks"].rate == 1
    assert result.metrics["http_req_duration"].count == len(ODD)


async def test_no_redirect_is_followed_and_no_cookie_kept() -> None:
    async with fake_stream(head()) as thief:
        moved = status(302, headers=f"Location: {thief.url}\r\nSet-Cookie: who=ann; Path=/\r\n")
        twice = steps("first").replace("- think", '- http: { path: "/second" }\n          - think')
        async with fake_stream(moved) as server:
            result, _ = await peak_of(twice, server.base)
        assert thief.requests == []
    assert result.metrics["checks"].rate == 0
    assert server.targets == ["/first", "/second"]
    assert server.header("x-api-key") == ["s3cret", None]
    assert server.header("cookie") == [None, None]
    assert server.header("accept-encoding") == ["gzip, deflate"] * 2


@pytest.mark.parametrize("lie", [gzip_bomb(), stay(b"[" * 1_000_000)])
async def test_a_publication_is_accepted_whatever_follows_the_status(lie: Answer) -> None:
    async with fake_stream(lie) as server:
        result, peak = await peak_of(PUBLISH, server.base)
    assert result.accounts is not None
    assert (result.accounts.sends.due, result.accounts.sends.accepted) == (4, 4)
    assert peak < 64 * MIB
