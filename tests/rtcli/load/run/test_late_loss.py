"""A server that accepts everything, and is gone when it should deliver: after the phases of the run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import pytest
from websockets.asyncio.server import ServerConnection

from rtcli.load.results.model import Verdict
from tests.support.fakes.json_lobby import Frame, Lobby, open_lobby, url_of
from tests.support.load.runs import run

TEXT = """
    name: late-loss
    seed: 3
    target:
      protocol: json
      frames:
        join: { do: enter, room: "${room}" }
        joined: { match: { event: entered }, room: room }
        send: { do: say, room: "${room}", text: "${text}", ref: "${id}" }
        ack: { match: { event: ok }, id: ref }
        data: { match: { event: said }, room: room, text: text }
    phases: [{ name: gather, for: 1500ms, publish: stop }, { name: run, for: 800ms }]
    audit: { settle: 3s }
    roles:
      reader: { users: 2, reconnect: RECONNECT, flow: [connect, { join: lobby }, hold] }
      writer:
        users: 1
        reconnect: RECONNECT
        flow: [connect, { join: lobby }, { send: { room: lobby, rate: 20/s } }]
"""


@asynccontextmanager
async def forgetful_server(closes_after: float) -> AsyncIterator[str]:
    """Acknowledges each message, delivers the first five; seconds after the first, it closes everybody."""
    numbers = count(1)
    closing: list[asyncio.Task[None]] = []

    async def close_all(lobby: Lobby) -> None:
        await asyncio.sleep(closes_after)
        for member in list(lobby.members):
            await member.close()
        server.close(close_connections=True)

    async def answer(lobby: Lobby, sender: ServerConnection, frame: Frame) -> None:
        said = next(numbers)
        if said == 1:
            closing.append(asyncio.create_task(close_all(lobby)))
        await sender.send(json.dumps({"event": "ok", "ref": frame["ref"]}))
        if said <= 5:
            await lobby.deliver(frame)

    async with open_lobby(Lobby(answer)) as server:
        yield url_of(server)
        await asyncio.gather(*closing)


@pytest.mark.parametrize("reconnect", ["never", "50ms"])
async def test_what_was_acknowledged_and_never_came_is_lost(reconnect: str) -> None:
    async with forgetful_server(1.2) as url:
        result = await run(TEXT.replace("RECONNECT", reconnect), url)
    assert result.audit is not None
    assert result.accounts is not None
    accepted = result.accounts.sends.accepted
    assert result.audit.counts["lost"] == 3 * (accepted - 5) > 0
    assert result.verdict is Verdict.VIOLATION
