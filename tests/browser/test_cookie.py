"""A page that has the cookie `rt_token`, and clients on it that say a token of their own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from playwright.async_api import Page

from rtcli.protocol.tokens import create_token
from rtcli_server.process.runner import running_server
from rtcli_server.settings import Settings
from tests.support.servers.server_process import SECRET
from tests.support.waiting import until


def token(sub: str, scope: str | None = None) -> str:
    return create_token(SECRET, sub=sub, name=sub, now=time.time(), scope=scope)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with running_server(Settings(port=0, secrets=(SECRET,), stream_retry_ms=100)) as server:
        yield server.url


async def open_page(page: Page, url: str, *, cookie: str) -> None:
    """Open a page of the server in a browser that has the cookie."""
    await page.context.add_cookies([{"name": "rt_token", "value": cookie, "url": url, "httpOnly": True}])
    await page.goto(f"{url}/healthz")


# As they were written for the earlier JavaScript server: a chat over WebSocket with its token in the query,
# and notifications over an event stream that relies on the cookie. Beside them our own two, with a token.
CLIENTS = """
async (token) => {
  const { RealtimeClient, followEvents } = await import("/rtclient.js");
  window.who = {}; window.news = {}; window.ends = [];
  const query = `token=${encodeURIComponent(token)}`;
  const chat = new WebSocket(`${location.origin.replace("http", "ws")}/api/v1/ws?${query}`);
  chat.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.data?.connection_id) window.who.chat = message.data.user_id;
  };
  chat.onclose = ({ code }) => window.ends.push(code);
  const listen = (name, url) => {
    const source = new EventSource(url, { withCredentials: true });
    source.addEventListener("ready", () => (window.who[name] = "open"));
    source.addEventListener("news", (event) => (window.news[name] = JSON.parse(event.data).to));
    source.onerror = () => source.readyState === EventSource.CLOSED && window.ends.push(name);
  };
  listen("notifications", "/api/v1/notifications/stream");
  listen("both", `/api/v1/events/stream?room=general&${query}`);
  const client = new RealtimeClient({ token });
  client.addEventListener("state", ({ detail }) => (window.who.client = detail.userId));
  client.connect();
  const onEvent = ({ event, data }) => {
    if (event === "ready") window.who.follow = "open";
    if (event === "news") window.news.follow = data.to;
  };
  followEvents({ token, names: ["news"], onEvent });
}
"""


@pytest.mark.timeout(60)
async def test_earlier_clients_and_ours_live_on_one_page(url: str, page: Page) -> None:
    await open_page(page, url, cookie=token("carol"))
    await page.evaluate(CLIENTS, token("alice"))
    await page.wait_for_function("Object.keys(window.who).length === 5 && window.who.client")
    assert await page.evaluate("[window.who.chat, window.who.client]") == ["alice", "alice"]
    backend = {"authorization": f"Bearer {token('backend', scope='publish')}"}
    async with httpx.AsyncClient(base_url=url, headers=backend) as http:
        for user in ("alice", "carol"):
            event = {"event": "news", "data": {"to": user}}
            answer = await http.post(f"/api/v1/users/{user}/events", json=event)
            assert answer.status_code == httpx.codes.CREATED
    await page.wait_for_function("Object.keys(window.news).length === 3")
    assert await page.evaluate("window.news") == {
        "notifications": "carol",
        "both": "alice",
        "follow": "alice",
    }
    assert await page.evaluate("window.ends") == []


async def test_the_cookie_does_not_step_in_for_a_bad_token(url: str, page: Page) -> None:
    await open_page(page, url, cookie=token("carol"))
    reason = """(query) => new Promise((resolve) => {
      const socket = new WebSocket(`${location.origin.replace("http", "ws")}/api/v1/ws${query}`);
      socket.onmessage = ({ data }) => resolve(JSON.parse(data).data.user_id);
      socket.onclose = ({ code }) => resolve(code);
    })"""
    assert await page.evaluate(reason, "") == "carol"
    assert await page.evaluate(reason, "?token=rubbish") == 1008
    assert await page.evaluate(reason, "?token=") == 1008


FOLLOW = """
async (token) => {
  const { followEvents } = await import("/rtclient.js");
  window.ready = 0; window.states = [];
  followEvents({
    token,
    onEvent: ({ event }) => event === "ready" && window.ready++,
    onState: (state, detail) => window.states.push([state, detail?.status ?? null]),
  });
}
"""


async def states(page: Page) -> list[Any]:
    found: list[Any] = await page.evaluate("window.states")
    return found


@pytest.mark.timeout(60)
async def test_who_was_kicked_stays_away(url: str, page: Page) -> None:
    """EventSource gives up at the 204, and our client learns of it and gives up too."""
    requests: list[tuple[str, int]] = []
    page.on("response", lambda answer: requests.append((answer.request.method, answer.status)))
    await page.goto(f"{url}/healthz")
    await page.evaluate(FOLLOW, token("alice"))
    await page.wait_for_function("window.ready === 1")
    admin = {"authorization": f"Bearer {token('root', scope='admin')}"}
    async with httpx.AsyncClient(base_url=url, headers=admin) as http:
        assert (await http.delete("/api/v1/users/alice/connections")).status_code == httpx.codes.OK
    await page.wait_for_function("window.states.at(-1)[0] === 'closed'")
    assert await states(page) == [["open", None], ["connecting", None], ["waiting", None], ["closed", 204]]
    await until(lambda: ("HEAD", 204) in requests, why="nobody asked why")
    assert requests[-2:] == [("GET", 204), ("HEAD", 204)]
    assert await page.evaluate("window.ready") == 1


async def test_who_is_refused_for_good_is_told(url: str, page: Page) -> None:
    await page.goto(f"{url}/healthz")
    await page.evaluate(FOLLOW, "rubbish")
    await page.wait_for_function("window.states.at(-1)?.[0] === 'closed'")
    assert await states(page) == [["waiting", None], ["closed", 401]]
