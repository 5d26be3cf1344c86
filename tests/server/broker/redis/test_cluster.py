"""The Redis log on the nodes of a cluster, behind Sentinels, on shards, and over TLS."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from rtcli_server.broker import BrokerUnavailableError, InvalidStoreError, open_broker
from rtcli_server.broker.redis.target import parse_redis_url, redacted
from tests.support.brokers.running import ROOM, Running, offsets, running
from tests.support.ports import free_port
from tests.support.redis.cluster import RedisCluster
from tests.support.redis.server import RedisServer, sentinel
from tests.support.waiting import until

pytestmark = pytest.mark.system


async def publish_with_patience(log: Running, channel: str) -> int:
    """Repeat under one key until acknowledged."""
    key = f"{channel}:{log.number}"
    async with asyncio.timeout(20):
        while True:
            try:
                return (await log.publish(channel, key=key)).position.offset
            except BrokerUnavailableError:
                await asyncio.sleep(0.02)


async def test_a_slot_that_moves_takes_its_channel_along(cluster_of_session: RedisCluster) -> None:
    cluster = cluster_of_session
    cluster.flush()
    async with running(cluster.url) as log:
        log.broker.subscribe(ROOM)
        await log.page()
        for expected in range(1, 21):
            if expected % 5 == 0:
                slot = key_slot(f"rt:{{{ROOM}}}:m".encode())
                await asyncio.to_thread(cluster.move_slot, slot)
            assert await publish_with_patience(log, ROOM) == expected
        await log.wait_delivered(20)
        assert offsets(log.delivered) == list(range(1, 21))
        assert offsets((await log.page()).publications) == list(range(1, 21))


async def test_channels_are_spread_over_the_nodes_and_all_are_heard(cluster_of_session: RedisCluster) -> None:
    cluster = cluster_of_session
    cluster.flush()
    async with running(cluster.url) as one, running(cluster.url) as two:
        channels = [f"room:{number}" for number in range(60)]
        for channel in channels:
            two.broker.subscribe(channel)
        await asyncio.gather(*[two.page(channel) for channel in channels])
        await asyncio.gather(*[one.start(channel) for channel in channels])
        await two.wait_delivered(60)
        sizes = [node.command("DBSIZE") for node in cluster.nodes]
        assert all(isinstance(size, int) and size > 10 for size in sizes)
        await one.wait_ready()
        await two.wait_ready()


async def test_a_node_that_dies_stops_its_channels_only_and_comes_back(tmp_path: Path) -> None:
    cluster = RedisCluster(tmp_path)
    cluster.start()
    try:
        for node in cluster.nodes:
            node.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
        async with running(cluster.url) as log:
            await log.wait_ready()
            victim = cluster.nodes[2]
            channels = {await owner(cluster, log, f"room:{n}"): f"room:{n}" for n in range(30)}
            assert len(channels) == 3
            for channel in channels.values():
                log.broker.subscribe(channel)
                await log.page(channel)
            await asyncio.to_thread(victim.kill)
            await publish_with_patience(log, channels[0])
            await publish_with_patience(log, channels[1])
            with pytest.raises(BrokerUnavailableError):
                await log.publish(channels[2])
            await asyncio.to_thread(victim.start)
            await publish_with_patience(log, channels[2])
            await until(
                lambda: {p.channel for p in log.delivered} == set(channels.values()), "all channels delivered"
            )
            await log.wait_ready()
    finally:
        cluster.kill()


async def owner(cluster: RedisCluster, log: Running, channel: str) -> int:
    """Which node has the channel's keys."""
    await log.page(channel)
    key = f"rt:{{{channel}}}:m"
    slot = str(key_slot(key.encode()))
    counts = [node.command("CLUSTER", "COUNTKEYSINSLOT", slot) for node in cluster.nodes]
    return next(number for number, count in enumerate(counts) if count)


async def test_shards_share_the_channels(tmp_path: Path) -> None:
    servers = []
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        servers.append(RedisServer(tmp_path / name))
        servers[-1].start()
    try:
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        async with running(f"redis://{hosts}?prefix=chat") as log:
            for number in range(60):
                log.broker.subscribe(f"room:{number}")
                assert (await log.page(f"room:{number}")).top.offset == 0
                await log.publish(f"room:{number}")
            await log.wait_delivered(60)
            log.broker.unsubscribe("room:0")
            await log.wait_ready()
        for server in servers:
            with server.admin as admin:
                keys = list(admin.scan_iter(count=1000))
            assert len(keys) > 20
            assert all(key.startswith(("chat:{room:", "chat:{probe}:")) for key in keys)
    finally:
        for server in servers:
            server.kill()


@pytest.fixture
def sentinel_of_two(tmp_path: Path) -> Iterator[tuple[int, RedisServer, RedisServer]]:
    """A Sentinel's port, a primary and its replica."""
    for name in ("primary", "replica", "sentinel"):
        (tmp_path / name).mkdir()
    primary = RedisServer(tmp_path / "primary")
    replica = RedisServer(tmp_path / "replica", options=("--replicaof", "127.0.0.1", str(primary.port)))
    try:
        primary.start()
        replica.start()
        with sentinel(tmp_path / "sentinel", primary, name="rt") as port:
            yield port, primary, replica
    finally:
        primary.kill()
        replica.kill()


async def test_a_failover_by_sentinel_is_followed(
    sentinel_of_two: tuple[int, RedisServer, RedisServer],
) -> None:
    port, primary, replica = sentinel_of_two
    async with running(f"redis+sentinel://127.0.0.1:{port}/rt") as log:
        log.broker.subscribe(ROOM)
        await publish_with_patience(log, ROOM)
        await log.page()

        def replicated() -> bool:
            with replica.admin as admin:
                return bool(admin.exists(f"rt:{{{ROOM}}}:m"))

        await until(replicated, "the replica has the log")
        await asyncio.to_thread(primary.kill)
        offset = await publish_with_patience(log, ROOM)
        await until(lambda: offset in offsets(log.delivered), "the delivery by the new primary")
        await log.wait_ready()


async def test_tls_is_verified(tmp_path: Path) -> None:
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=localhost"]
    make += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    await asyncio.to_thread(subprocess.run, make, cwd=tmp_path, check=True, capture_output=True)
    tls_port = free_port()
    files = ("--tls-cert-file", str(tmp_path / "cert.pem"), "--tls-key-file", str(tmp_path / "key.pem"))
    options = ("--tls-port", str(tls_port), "--tls-auth-clients", "no")
    server = RedisServer(tmp_path, options=(*options, *files))
    server.start()
    try:
        trusted = f"rediss://127.0.0.1:{tls_port}?ssl_ca_certs={tmp_path / 'cert.pem'}"
        async with running(trusted) as log:
            log.broker.subscribe(ROOM)
            await log.page()
            await log.publish()
            await log.wait_delivered(1)
        async with running(f"rediss://127.0.0.1:{tls_port}") as log:
            with pytest.raises(BrokerUnavailableError):
                await log.publish()
    finally:
        server.kill()


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://u:p@",
        "redis://host:port",
        "redis://host?prefix=",
        "redis://host?prefix=a{b}",
        "redis://host?timeout=3",
        "redis://host?decode_responses=1",
        "redis+sentinel://host",
        "redis+sentinel://host:x/service",
        "redis+other://host",
    ],
)
def test_urls_that_cannot_be_meant_are_refused(url: str) -> None:
    with pytest.raises(InvalidStoreError):
        open_broker(url)


def test_a_refused_url_keeps_its_password_to_itself() -> None:
    with pytest.raises(InvalidStoreError) as caught:
        open_broker("redis://rt:hunter2@host?what=1")
    assert "hunter2" not in str(caught.value)
    assert redacted("redis://rt:hunter2@host/1") == "redis://host/1"


def test_hosts_and_options_are_read() -> None:
    assert len(parse_redis_url("redis://:p@a:1,b:2,c:3/4?prefix=x").shards) == 3
    assert parse_redis_url("redis+cluster://a,b").prefix == "rt"
