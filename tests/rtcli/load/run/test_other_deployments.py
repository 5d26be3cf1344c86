"""Deployments that are not ours, through the `json` and `sse` adapters; what they lose is named."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from rtcli.load.results.model import RunResult, Verdict
from tests.support.load.own_health import is_judged
from tests.support.load.runs import run
from tests.support.servers.foreign import nchan, node_server

pytestmark = pytest.mark.system

CHAT = "chat_server.mjs"
FRAMES = """
    name: other-chat
    seed: 3
    target:
      protocol: json
      path: "/chat?run=${run}"
      subprotocols: [chat.v2]
      frames:
        hello: { action: hello, name: "${user.name}" }
        join: { action: enter, channel: "${room}" }
        joined: { match: { event: entered }, room: channel }
        leave: { action: go, channel: "${room}" }
        send: { action: say, channel: "${room}", text: "${text}", ref: "${id}" }
        ack: { match: { event: ok }, id: ref }
        error: { match: { event: "no" }, id: ref }
        data: { match: { event: said }, room: channel }
    phases:
      - { name: gather, for: 500ms, publish: stop }
      - { name: run, for: 2s }
      - { name: drain, for: 300ms, publish: stop }
    roles:
      reader: { users: 5, flow: [connect, { join: lobby }, hold] }
      writer: { users: 2, flow: [connect, { join: lobby }, { send: { room: lobby, rate: 20/s, text: hi } }] }
"""
FLAKY = """
      flaky:
        users: 4
        flow:
          - connect
          - join: lobby
          - loop: [{ hold: "uniform(200ms, 400ms)" }, { kill: fin }, { backoff: exp(200ms..400ms) }, resume]
"""


CALLER = """
      caller:
        users: 2
        flow: [connect, { join: lobby }, { join: hall }, { send: { room: hall, rate: 20/s, text: hi } }]
"""


def counts(result: RunResult) -> dict[str, int]:
    assert result.audit is not None
    return dict(result.audit.counts)


async def test_a_chat_with_frames_of_its_own() -> None:
    async with node_server(CHAT) as url, httpx.AsyncClient() as client:
        result = await run(FRAMES, url)
        seen = (await client.get(url)).json()
    found = counts(result)
    assert result.verdict is Verdict.PASSED or not is_judged(result), result.reasons
    assert found["acknowledged"] == found["sent"] > 60
    assert found["expected"] == found["delivered"] == found["sent"] * 7
    assert sorted(seen["names"]) == [f"reader {n}" for n in range(1, 6)] + ["writer 1", "writer 2"]
    assert len(seen["paths"]) == 1
    assert seen["protocols"] == ["chat.v2"]


@pytest.mark.parametrize("workers", [1, 2, 3])
async def test_a_chat_that_does_not_name_the_room(workers: int) -> None:
    """Everybody is in two rooms, and senders and receivers are in different workers."""
    silent = FRAMES.replace("event: said }, room: channel }", "event: said } }")
    both = silent.replace("{ join: lobby }", "{ join: lobby }, { join: hall }") + CALLER
    async with node_server(CHAT) as url:
        result = await run(both, url, workers=workers)
    found = counts(result)
    assert result.verdict is Verdict.PASSED or not is_judged(result), result.reasons
    assert found["acknowledged"] == found["sent"] > 60
    assert found["expected"] == found["delivered"] == found["sent"] * 9


async def test_what_such_a_chat_loses_on_a_reconnect_is_named() -> None:
    async with node_server(CHAT) as url:
        result = await run(FRAMES + FLAKY, url)
    assert result.audit is not None
    assert result.verdict is Verdict.VIOLATION
    found = counts(result)
    assert found["resume_gap"] > 0
    assert all(it.subscriber.startswith("flaky ") for it in result.audit.violations)
    assert {it.kind for it in result.audit.violations} <= {"resume_gap", "lost"}


async def test_refused_messages_are_not_expected() -> None:
    async with node_server(CHAT) as url:
        result = await run(FRAMES.replace("text: hi", "text: bad"), url)
    found = counts(result)
    assert found["sent"] > 60
    assert (found["expected"], found["acknowledged"], found["lost"]) == (0, 0, 0)
    assert result.metrics["errors"].count == found["sent"]


async def test_without_confirmations_only_what_is_certain_is_judged() -> None:
    lines = FRAMES.splitlines()
    bare = "\n".join(line for line in lines if not line.strip().startswith(("joined:", "ack:", "error:")))
    async with node_server(CHAT) as url:
        result = await run(bare.replace("for: 500ms", "for: 1500ms"), url)
    found = counts(result)
    assert result.verdict is Verdict.PASSED or not is_judged(result), result.reasons
    assert found["acknowledged"] == 0
    assert found["expected"] == found["delivered"] == found["sent"] * 7


STREAMS = """
    name: other-hub
    seed: 4
    target: { protocol: sse, publish: { path: "/pub/${room}", body: "${text}" } }
    phases:
      - { name: gather, for: 500ms, publish: stop }
      - { name: run, for: 2s }
      - { name: drain, for: 300ms, publish: stop }
    roles:
      tail: { users: 5, flow: [{ connect: { path: /sub/news, rooms: [news] } }, hold] }
      flaky:
        users: 4
        flow:
          - connect: { path: /sub/news, rooms: [news] }
          - expect: { contains: hi, within: 10s }  # who has received nothing yet has no id to resume from
          - loop: [{ hold: "uniform(200ms, 400ms)" }, { kill: rst }, { backoff: exp(200ms..400ms) }, resume]
      writer: { users: 2, flow: [{ send: { room: news, rate: 20/s, text: hi } }] }
"""


@pytest.mark.parametrize("workers", [1, 2, 3])
async def test_an_event_stream_hub_that_remembers(tmp_path: Path, workers: int) -> None:
    async with nchan(tmp_path, kept=1000) as url:
        result = await run(STREAMS, url, workers=workers)
    found = counts(result)
    assert result.verdict is Verdict.PASSED or not is_judged(result), result.reasons
    assert found["acknowledged"] == found["sent"] > 60
    assert found["expected"] == found["delivered"] > 300


async def test_what_a_hub_that_remembers_little_loses_on_a_reconnect_is_named(tmp_path: Path) -> None:
    async with nchan(tmp_path, kept=1) as url:
        result = await run(STREAMS, url)
    assert result.audit is not None
    assert {it.subscriber.split()[0] for it in result.audit.violations} == {"flaky"}
    kinds = {it.kind for it in result.audit.violations}
    assert {"resume_gap"} <= kinds <= {"resume_gap", "lost"}  # requests to publish overtake each other
