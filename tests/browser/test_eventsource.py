"""A browser's EventSource follows the server, and resumes by itself after a restart."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest
from playwright.async_api import Page

from rtcli.protocol.tokens import create_token
from tests.support.faults.crowd import ROOM, deployment
from tests.support.servers.server_process import SECRET
from tests.support.waiting import until

FOLLOW = """
([url]) => {
  window.got = []; window.ready = 0; window.states = [];
  const source = new EventSource(url);
  source.addEventListener("ready", () => window.ready++);
  source.addEventListener("new_message", (event) => window.got.push(JSON.parse(event.data).content));
  source.onerror = () => window.states.push(source.readyState);
}
"""


@pytest.mark.timeout(120)
async def test_eventsource_follows_through_a_kill_and_a_drain(tmp_path: Path, page: Page) -> None:
    token = create_token(SECRET, sub="browser", now=time.time())
    async with deployment(tmp_path, f"sqlite:{tmp_path / 'rt.db'}", seed=1) as (server, crowd):
        await page.goto(f"{server.url}/healthz")
        await page.evaluate(FOLLOW, [f"/api/v1/events/stream?room={ROOM}&token={token}"])
        await page.wait_for_function("window.ready === 1")
        receiver = crowd.tail_over_websocket("reference")
        await until(lambda: receiver.start.offset >= 0, why="the reference is not in the room")
        publishers = [crowd.publisher("writer")]
        for number, how in enumerate((signal.SIGKILL, signal.SIGTERM), start=2):
            await page.wait_for_function(f"window.got.length >= {10 * number}")
            await asyncio.to_thread(server.stop, how)
            await server.start()
            await page.wait_for_function(f"window.ready === {number}", timeout=30_000)
        await crowd.rest(publishers)
        assert crowd.check().violations == []
        reference = [content for content, _ in receiver.events]
        await page.wait_for_function(f"window.got.length >= {len(reference)}", timeout=20_000)
        assert await page.evaluate("window.got") == reference
        assert await page.evaluate("window.states.every((state) => state === EventSource.CONNECTING)")
