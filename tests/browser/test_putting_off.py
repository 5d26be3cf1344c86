"""What the server cannot do now is asked for again by the browser client: joins, messages, a new token."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from playwright.async_api import Page

from rtcli_server.auth.claims import Principal
from rtcli_server.broker import BrokerUnavailableError
from rtcli_server.connections.websocket import Connection
from rtcli_server.realtime import RealtimeServer
from tests.support.brokers.broken_log import break_publishing, break_reads
from tests.support.clients.pages import eventually
from tests.support.servers.live_server import live_server, token
from tests.support.waiting import until

AWAY = BrokerUnavailableError("away")

CLIENT = """
async (tokens) => {
  const { RealtimeClient } = await import("/rtclient.js");
  window.got = []; window.states = []; window.problems = []; window.asked = 0; window.acks = [];
  const token = () => tokens[Math.min(window.asked++, tokens.length - 1)];
  window.client = new RealtimeClient({ token });
  client.addEventListener("message", ({ detail }) => got.push(detail.content));
  client.addEventListener("state", ({ detail }) => states.push(detail.state));
  client.addEventListener("problem", ({ detail }) => problems.push(detail));
  window.say = (text) => client.send("general", text).then((ack) => acks.push(ack.offset));
  client.join("general");
  client.connect();
}
"""


async def untroubled(page: Page) -> bool:
    """Whether the page was told of no problem, and has the connection that it had first."""
    found: bool = await page.evaluate(
        "problems.length === 0 && JSON.stringify(states) === JSON.stringify(['connecting', 'open'])"
    )
    return found


@pytest.fixture
def errors(page: Page) -> list[str]:
    """The codes of the errors that the server has sent over WebSockets."""
    codes: list[str] = []

    def received(frame: str | bytes) -> None:
        message = json.loads(frame)
        if message["type"] == "error":
            codes.append(message["data"]["code"])

    page.on("websocket", lambda socket: socket.on("framereceived", received))
    return codes


@pytest.mark.timeout(60)
async def test_a_join_and_a_message_that_the_log_cannot_take_now(page: Page, errors: list[str]) -> None:
    with live_server() as server:
        server.ask(lambda realtime: break_reads(realtime, AWAY, AWAY))
        server.ask(lambda it: break_publishing(it, maybe_published=True, at_once=False, times=2))
        await page.goto(f"{server.url}/healthz")
        await page.evaluate(CLIENT, [token()])
        await page.evaluate("say('kept'), null")
        await eventually(page, "acks.length === 1 && got.length === 1")
        assert await page.evaluate("got") == ["kept"]
        assert errors == ["unavailable"] * 4
        assert await untroubled(page)


def expires_at(realtime: RealtimeServer) -> float:
    """When the token of the only client expires."""
    (client,) = realtime.hub.clients.values()
    assert isinstance(client, Connection)
    assert isinstance(client.session.rights, Principal)
    return client.session.rights.expires_at


@pytest.mark.timeout(60)
async def test_a_token_that_nobody_can_check_yet(page: Page, errors: list[str]) -> None:
    with live_server(retry_spread_s=0.1) as server:
        await page.goto(f"{server.url}/healthz")
        await page.evaluate(CLIENT, [token(ttl_s=4), token(ttl_s=3_600)])
        await eventually(page, "client.state === 'open'")
        server.ask(lambda realtime: setattr(realtime._revoked, "known", False))
        await until(lambda: len(errors) >= 2, "the new token is not put off, again and again")
        server.ask(lambda realtime: setattr(realtime._revoked, "known", True))
        await asyncio.to_thread(server.wait_until, lambda it: expires_at(it) > time.time() + 1_000)
        assert set(errors) == {"unavailable"}
        assert await page.evaluate("asked") == 2  # for the connection, and once for all attempts to go on
        assert await untroubled(page)
