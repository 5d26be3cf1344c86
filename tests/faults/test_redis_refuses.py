"""A Redis that refuses every write turns its servers red with one line, and green again with another.

Nobody loses a connection meanwhile, what is published is refused, and what can be read is read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from redis.crc import key_slot

from tests.support.clients.peers import WsPeer, connect, token
from tests.support.faults.fleet import PASSWORD, own_redis, store
from tests.support.faults.refusing_redis import REFUSALS, REFUSALS_IN_CLUSTER, Refusing
from tests.support.redis.cluster import ELECTION_EVERY_S, RedisCluster
from tests.support.redis.server import RedisServer, sentinel
from tests.support.servers.server_process import ServerProcess
from tests.support.servers.watch import log_is_clean, until_metric
from tests.support.waiting import until

ROOM = "lobby"
WITHIN_S = 10.0  # three seconds are promised; the machine that runs the tests may be busy
log = logging.getLogger(__name__)


async def until_ready(server: ServerProcess, *, ready: bool) -> float:
    """Wait until `/readyz` says so; return how long that took."""
    began = time.monotonic()
    async with asyncio.timeout(WITHIN_S), httpx.AsyncClient(timeout=WITHIN_S) as http:
        while (await http.get(f"{server.url}/readyz")).is_success is not ready:  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(0.02)
    return time.monotonic() - began


async def answer_to(peer: WsPeer, id_: str) -> str:
    """Publish a message; return `ack`, or the code of the error."""
    peer.send("chat_message", id_, room=ROOM, content=id_)

    def answers() -> list[str]:
        found = [message for message in peer.messages if message.get("id") == id_]
        return [message["data"].get("code", message["type"]) for message in found]

    await until(lambda: bool(answers()), f"no answer to {id_}")
    return answers()[0]


async def until_published(peer: WsPeer, text: str) -> None:
    """Repeat a message until it is acknowledged: what the old master is asked for is refused."""
    async with asyncio.timeout(WITHIN_S):
        while await answer_to(peer, text) != "ack":
            peer.messages[:] = [message for message in peer.messages if message.get("id") != text]
            await asyncio.sleep(0.05)


def contents(peer: WsPeer) -> list[str]:
    """The messages that it got."""
    return [message["data"]["content"] for message in peer.messages if message["type"] == "new_message"]


async def reads(server: ServerProcess) -> int:
    """The status of reading the room's history."""
    headers = {"Authorization": f"Bearer {token('reader')}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as http:
        return (await http.get(f"/api/v1/rooms/{ROOM}/messages")).status_code


async def refuse(
    server: ServerProcess, peer: WsPeer, redis: RedisServer, code: str, refusing: Refusing, *, user: str
) -> None:
    """Have this Redis refuse writes for one cause, and then take them again."""
    said = len(server.log.read_text())
    refusal = refusing(redis, user)
    await asyncio.to_thread(refusal.__enter__)
    red_s = await until_ready(server, ready=False)
    await until_metric(server, "rtcli_log_ready", 0)
    assert await reads(server) == httpx.codes.OK
    if user == "rt":  # else the room may be on a node that takes writes
        assert await answer_to(peer, f"{said}") == "unavailable"
    await asyncio.to_thread(refusal.__exit__, None, None, None)
    green_s = await until_ready(server, ready=True)
    log.info("%s: red after %.2f s, green after %.2f s", code, red_s, green_s)
    assert not peer.lost.done()
    [red, green] = server.log.read_text()[said:].splitlines()
    assert f"not ready: {code} " in red
    assert "ready again" in green
    assert f"over is: {code}" in green


async def refuse_all(
    server: ServerProcess,
    nodes: Mapping[str, RedisServer],
    refusals: Mapping[str, Refusing],
    *,
    user: str = "default",
    rounds: int = 1,
) -> None:
    """Have each of these Redis servers refuse writes for each of these causes, under an open connection."""
    peer = await connect(server.port, WsPeer("ann", [ROOM]))
    await peer.ready
    published = [
        (redis, code, f"{turn}: {code} of {place}")
        for turn in range(rounds)
        for place, redis in nodes.items()
        for code in refusals
    ]
    for redis, code, text in published:
        assert await answer_to(peer, text) == "ack"
        await refuse(server, peer, redis, code, refusals[code], user=user)
    expected = [text for _, _, text in published]
    await until(lambda: contents(peer) == expected, "the deliveries")
    peer.transport.abort()
    log_is_clean(server)


@contextmanager
def server_on(home: Path, url: str) -> Iterator[ServerProcess]:
    """A server on this store."""
    server = ServerProcess(home, url)
    try:
        yield server
    finally:
        server.kill()


@pytest.mark.timeout(600)
async def test_every_cause_is_told_and_its_end(tmp_path: Path, soak: bool) -> None:
    with own_redis(tmp_path) as redis, server_on(tmp_path, store(redis.port)) as server:
        await server.start()
        await refuse_all(server, {"it": redis}, REFUSALS, user="rt", rounds=8 if soak else 1)


@pytest.mark.timeout(600)
async def test_one_master_of_a_cluster_that_refuses_is_enough(tmp_path: Path, soak: bool) -> None:
    cluster = RedisCluster(tmp_path)
    try:
        cluster.start()
        nodes = {str(node.port): node for node in cluster.nodes}
        with server_on(tmp_path, cluster.url) as server:
            await server.start()
            if soak:
                await refuse_all(server, nodes, REFUSALS_IN_CLUSTER, rounds=8)
            else:
                await refuse_all(server, dict([nodes.popitem()]), {"OOM": REFUSALS["OOM"]})
    finally:
        cluster.kill()


@pytest.mark.timeout(600)
async def test_a_master_of_a_cluster_that_is_made_a_replica_is_followed_without_red(
    tmp_path: Path, soak: bool
) -> None:
    cluster = RedisCluster(tmp_path, replicated_slot=key_slot(f"rt:{{room:{ROOM}}}:m".encode()))
    try:
        cluster.start()
        with server_on(tmp_path, cluster.url) as server:
            await server.start()
            await until_ready(server, ready=True)
            peer = await connect(server.port, WsPeer("ann", [ROOM]))
            await peer.ready
            said = server.log.read_text()
            published: list[str] = []
            for turn in range(20 if soak else 1):  # there and back
                await asyncio.sleep(ELECTION_EVERY_S if turn else 0)
                await asyncio.to_thread(cluster.demote_primary)
                for number in range(20):  # for as long as some probes take
                    published.append(f"{turn}.{number}")
                    await until_published(peer, published[-1])
                    await asyncio.sleep(0.1)
            await until(lambda: contents(peer) == published, "the deliveries")
            assert not peer.lost.done()
            peer.transport.abort()
            assert server.log.read_text() == said  # each red is a line
    finally:
        cluster.kill()


@pytest.mark.timeout(600)
async def test_a_primary_that_sentinel_names_and_that_refuses(tmp_path: Path, soak: bool) -> None:
    with own_redis(tmp_path) as redis, sentinel(tmp_path, redis, name="rt") as port:
        url = f"redis+sentinel://rt:{PASSWORD}@127.0.0.1:{port}/rt"
        with server_on(tmp_path, url) as server:
            await server.start()
            codes = REFUSALS if soak else {"READONLY": REFUSALS["READONLY"]}
            await refuse_all(server, {"it": redis}, codes, user="rt", rounds=8 if soak else 1)
