"""Event streams and answers over HTTP that nobody reads, long ones and many of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from typing_extensions import override

from tests.support.attacks.figures import ANONYMOUS, MIB, Bounds
from tests.support.attacks.measure import Measure
from tests.support.attacks.target import KIB, StartTarget, Target
from tests.support.attacks.unread import FULL, MESSAGE, fill, until_all_waits
from tests.support.clients.peers import Peer, StreamPeer, WsPeer, connect, token
from tests.support.servers.watch import connected, metric
from tests.support.waiting import all_at_once, until

COUNT = 50
ROOMS = [f"full-{number}" for number in range(8)]
MESSAGES = 100  # in each room
ROOM_BYTES = MESSAGES * len(MESSAGE.encode())  # 1.5 MB
AHEAD = 30  # requests of one connection
BOUNDS = Bounds(peak_bytes_each=MIB)  # with a token, 2 MiB are allowed
OPEN = ("/openapi.json", "/metrics", "/rtclient.js", "/", "/page.css", "/nothing-here")
CLOSED = (
    f"/api/v1/rooms/{ROOMS[0]}/messages?limit={FULL}",
    f"/api/v1/rooms/{ROOMS[1]}/messages?limit=200",
    "/api/v1/rooms",
    f"/api/v1/rooms/{'crowd-0-0'.ljust(120, 'x')}/members",
)


class DeafPeer(Peer):
    """Sends requests ahead and reads nothing."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.pause_reading()


def requests(path: str, bearer: str | None) -> bytes:
    """Many requests for one path."""
    authorization = "" if bearer is None else f"Authorization: Bearer {bearer}\r\n"
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{authorization}\r\n".encode() * AHEAD


async def test_streams_that_resume_eight_full_rooms(start_target: StartTarget, measure: Measure) -> None:
    target = await start_target(slow_deadline_s=120)
    epoch = await fill(target, ROOMS, MESSAGES)
    cursor = ",".join(f"{room}={epoch}-0" for room in ROOMS)
    async with measure(target, "unread: streams that resume", connections=COUNT, bounds=BOUNDS) as attack:
        for number in range(COUNT):
            peer = await attack.connect_deaf(StreamPeer(f"u{number}", ROOMS, last_event_id=cursor))
            await asyncio.wait_for(peer.ready, 30)
            peer.transport.pause_reading()
        waiting = await until_all_waits(target)
        assert COUNT * 32 * KIB < waiting < COUNT * 512 * KIB


@pytest.mark.parametrize(("paths", "sub", "bounds"), [(OPEN, None, ANONYMOUS), (CLOSED, "reader", BOUNDS)])
async def test_answers(
    start_target: StartTarget, measure: Measure, paths: Sequence[str], sub: str | None, bounds: Bounds
) -> None:
    target = await start_target(slow_deadline_s=120, presence_grace_s=600)
    if sub is not None:
        await fill(target, ROOMS[:2], MESSAGES)
        await all_at_once(_leave_rooms_behind(target, number) for number in range(10))
    name = f"unread: answers with{'out' if sub is None else ''} a token"
    async with measure(target, name, connections=COUNT, bounds=bounds) as attack:
        for number in range(COUNT):
            bearer = None if sub is None else token(f"{sub}-{number}")
            await attack.connect_deaf(DeafPeer(requests(paths[number % len(paths)], bearer)))
        waiting = await until_all_waits(target)
        assert 0 < waiting < COUNT * 512 * KIB


async def _leave_rooms_behind(target: Target, number: int) -> None:
    """Be the member of 100 rooms with long names, for the grace period."""
    rooms = [f"crowd-{number}-{room}".ljust(120, "x") for room in range(100)]
    peer = await connect(target.port, WsPeer(f"m{number}", rooms))
    await asyncio.wait_for(peer.ready, 30)
    peer.transport.close()


async def test_answers_that_nobody_reads_end_at_the_deadline(start_target: StartTarget) -> None:
    target = await start_target(slow_deadline_s=2)
    await fill(target, ROOMS[:1], MESSAGES)
    request = requests(CLOSED[0], token("reader"))
    peers = [await connect(target.port, DeafPeer(request), receive_buffer=4_096) for _ in range(10)]
    await until(lambda: connected(target.port) == 0, "they are still connected")
    assert await metric(target, "rtcli_waiting_bytes") == 0
    for peer in peers:  # what the kernels hold of the answers that were begun shows that they were cut
        peer.transport.resume_reading()
        await asyncio.wait_for(peer.lost, 30)
        assert peer.status == 200
        assert len(peer.data) < ROOM_BYTES * AHEAD / 2
