"""One connection for all requests: back-pressure, deadlines, and ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from rtcli_server.broker import BrokerUnavailableError
from rtcli_server.broker.health import StoreHealth
from rtcli_server.broker.redis import link as module
from rtcli_server.broker.redis.link import NodeLink, pack
from rtcli_server.broker.redis.target import Server
from rtcli_server.broker.redis.timings import RedisTimings
from rtcli_server.broker.validation import ForeignDataError
from rtcli_server.timing.supervision import Supervisor
from tests.support.redis.server import RedisServer
from tests.support.waiting import until

pytestmark = pytest.mark.system

TIMINGS = RedisTimings(connect_s=1.5, request_s=1.5, first_retry_s=0.01, max_retry_s=0.05)


def new_link(server: RedisServer) -> NodeLink:
    return NodeLink(
        Server(server.url).connect,
        TIMINGS,
        ["return 1"],
        StoreHealth("Redis"),
        supervisor=Supervisor(),
    )


@pytest.fixture
async def link(redis_of_session: RedisServer) -> AsyncIterator[NodeLink]:
    made = new_link(redis_of_session)
    yield made
    await made.close()


def echo(link: NodeLink, text: bytes) -> asyncio.Future[bytes]:
    return link.request(pack([b"ECHO", text]), bytes, b"")


async def test_answers_come_in_the_order_of_requests(link: NodeLink) -> None:
    texts = [b"%d" % number for number in range(1000)]
    assert await asyncio.gather(*[echo(link, text) for text in texts]) == texts
    assert link.outstanding == 0


async def test_too_many_requests_are_refused_at_once(link: NodeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OUTSTANDING", 10)
    futures = [echo(link, b"x") for _ in range(15)]
    assert [future.done() for future in futures] == [False] * 10 + [True] * 5
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert [isinstance(result, BrokerUnavailableError) for result in results] == [False] * 10 + [True] * 5
    assert await echo(link, b"again") == b"again"


async def test_too_many_bytes_are_refused_at_once(link: NodeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OUTSTANDING_BYTES", 1000)
    results = await asyncio.gather(*[echo(link, b"x" * 400) for _ in range(5)], return_exceptions=True)
    assert [isinstance(result, BrokerUnavailableError) for result in results] == [False] * 3 + [True] * 2
    assert await echo(link, b"again") == b"again"


async def test_an_error_answer_fails_its_own_request_only(link: NodeLink) -> None:
    wrong = link.request(pack([b"NONSENSE"]), bytes, b"")
    right = echo(link, b"x")
    with pytest.raises(BrokerUnavailableError, match="Redis refused") as refused:
        await wrong
    assert not refused.value.maybe_published
    assert await right == b"x"


async def test_an_answer_that_makes_no_sense_fails_its_own_request_only(link: NodeLink) -> None:
    def parse(answer: bytes) -> bytes:
        raise ForeignDataError(f"{answer!r} is not it")

    wrong = link.request(pack([b"ECHO", b"x"]), parse, b"")
    right = echo(link, b"y")
    with pytest.raises(BrokerUnavailableError, match="nonsense") as failed:
        await wrong
    assert failed.value.maybe_published
    assert await right == b"y"


async def test_nothing_is_sent_again_after_a_freeze(redis_of_session: RedisServer, link: NodeLink) -> None:
    redis_of_session.command("DEL", "counter")
    await echo(link, b"connected")
    redis_of_session.send(signal.SIGSTOP)
    try:
        count = pack([b"INCR", b"counter"])
        sent = link.request(count, int, b"")
        with pytest.raises(BrokerUnavailableError, match="outcome is unknown") as lost:
            await sent
        with pytest.raises(BrokerUnavailableError, match="nothing was published") as late:
            await link.request(count, int, b"")
        assert (lost.value.maybe_published, late.value.maybe_published) == (True, False)
    finally:
        redis_of_session.send(signal.SIGCONT)
    await until(lambda: link.connected, "a new connection")
    assert await link.request(count, int, b"") == 2


async def test_closing_waits_for_answers_and_then_refuses(redis_of_session: RedisServer) -> None:
    link = new_link(redis_of_session)
    futures = [echo(link, b"x") for _ in range(100)]
    await link.close()
    assert await asyncio.gather(*futures) == [b"x"] * 100
    with pytest.raises(BrokerUnavailableError, match="closed"):
        await echo(link, b"x")
