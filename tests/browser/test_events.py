"""A page with a WebSocket and an event stream: both get every event, and the page can tell the repeats."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page

from rtcli.protocol.tokens import create_token
from tests.support.clients.pages import eventually
from tests.support.servers.server_process import SECRET, ServerProcess

BOTH = """
async (token) => {
  const { RealtimeClient, followEvents } = await import("/rtclient.js");
  window.socket = []; window.stream = []; window.once = []; window.gaps = [];
  const seen = new Map(); // as docs/protocol.md, section 6, tells a page to do
  const tell = (key, epoch, offset, data) => {
    const last = seen.get(key);
    if (last?.epoch === epoch && offset <= last.offset) return;
    seen.set(key, { epoch, offset });
    once.push(data.n);
  };
  window.client = new RealtimeClient({ token, events: true });
  client.addEventListener("gap", ({ detail }) => gaps.push(detail));
  client.addEventListener("direct", ({ detail }) => window.direct = detail);
  client.addEventListener("state", ({ detail }) => window.name = detail.connectionId);
  client.addEventListener("event", ({ detail: { channel, epoch, offset, data } }) => {
    socket.push(data.n);
    tell(channel === "all" ? "~all" : "~me", epoch, offset, data);
  });
  window.end = followEvents({ token, names: ["news"], onEvent: ({ event, data, id }) => {
    if (event === "gap") gaps.push(data);
    if (event === "ready") window.ready = true;
    if (event !== "news") return;
    stream.push(data.n);
    const [, key, epoch, offset] = /^([^=]+)=([a-z0-9]+)-([0-9]+)/.exec(id);
    tell(key, epoch, Number(offset), data);
  } });
  client.connect();
}
"""


@pytest.mark.timeout(120)
async def test_a_page_with_both_transports_gets_each_event_on_each_and_knows_it_once(
    tmp_path: Path, page: Page
) -> None:
    server = ServerProcess(
        tmp_path, f"sqlite:{tmp_path / 'rt.db'}", settings={"stream_retry_ms": 100, "retry_spread_s": 0.1}
    )
    await server.start()
    publisher = create_token(SECRET, sub="app", now=time.time(), scope="publish")
    sent: list[int] = []

    async def publish(http: httpx.AsyncClient) -> None:
        for path in ("/api/v1/users/alice/events", "/api/v1/events") * 3:
            sent.append(len(sent))
            answer = await http.post(path, json={"event": "news", "data": {"n": sent[-1]}})
            assert answer.status_code == 201, answer.text
            hidden = {"event": "news", "data": {"n": -1}, "exclude": {"users": ["alice"]}}
            assert (await http.post(path, json=hidden)).status_code == 201

    try:
        async with httpx.AsyncClient(
            base_url=server.url, headers={"Authorization": f"Bearer {publisher}"}, trust_env=False, timeout=30
        ) as http:
            await page.goto(server.url)
            await page.evaluate(BOTH, create_token(SECRET, sub="alice", now=time.time()))
            await eventually(page, "window.client.state === 'open' && window.ready")
            for _ in range(3):
                await publish(http)
                await asyncio.to_thread(server.stop, signal.SIGKILL)
                await server.start()
                await publish(http)
                await eventually(page, f"Math.min(socket.length, stream.length) >= {len(sent)}")
            name = await page.evaluate("window.name")
            told = await http.post(
                f"/api/v1/connections/{name}/events", json={"event": "e", "data": {"n": 1}}
            )
            assert told.json() == {"queued": {"here": 1, "deployment": 1}}
            await eventually(page, "window.direct?.data.n === 1")
        found = {name: await page.evaluate(f"window.{name}") for name in ("socket", "stream", "once")}
        assert {name: sorted(numbers) for name, numbers in found.items()} == dict.fromkeys(found, sent), (
            json.dumps(found)
        )
        assert await page.evaluate("window.gaps") == []
    finally:
        await asyncio.to_thread(server.stop, signal.SIGTERM)
