"""Closed loops: as much as the server can do, over WebSocket, by acknowledgements, or to event streams."""

import asyncio
import os
import time
from collections.abc import Sequence

import msgspec

from benchmarks.client.dialects import DIALECTS, Dialect, token_for
from benchmarks.client.frames import own_mark
from benchmarks.client.jobs import Closed, Result, Streams
from benchmarks.client.members import (
    Connection,
    PacedPublisher,
    Publisher,
    join_steps,
    member_steps,
    message_frame,
    stream_steps,
)
from benchmarks.client.readings import (
    ROOM,
    Reading,
    Socket,
    between,
    connect,
    read,
    settle,
    spread_out,
    with_latencies,
)
from benchmarks.client.strict import StrictMember, StrictPublisher

POLL_S = 0.001
AnyPublisher = Publisher | StrictPublisher


def make_publisher(job: Closed, dialect: Dialect, room: str, token: str, number: int) -> AnyPublisher:
    """A publisher of either kind, driven by acknowledgements or by its own messages coming back."""
    answer = b'"ack"' if job.acked else own_mark(number)
    frame = message_frame(dialect, room, number, os.urandom(3).hex())
    if job.strict:
        return StrictPublisher(join_steps(dialect, room), frame, answer)
    return Publisher(member_steps(dialect, room, token), frame, answer)


def make_members(job: Closed) -> list[tuple[Socket, str]]:
    """The sockets of a closed loop with the paths they connect to; publishers evenly spread among them."""
    dialect, now = DIALECTS[job.target.dialect], time.time()
    places = sorted(spread_out(job.publishers, job.sockets))
    members: list[tuple[Socket, str]] = []
    for place in range(job.sockets):
        room = f"{ROOM}{place}" if job.acked else ROOM
        token = token_for(job.target.secret, place + 1, now)
        member: Socket
        if place in places:
            member = make_publisher(job, dialect, room, token, places.index(place))
        elif job.strict:
            member = StrictMember(join_steps(dialect, room))
        else:
            member = Connection(member_steps(dialect, room, token))
        members.append((member, dialect.ws_path(room, token)))
    return members


def rates(job: Closed, first: Reading, last: Reading, acks: int) -> Result:
    """What was delivered, or acknowledged, between two readings."""
    result = between(first, last)
    if not job.acked:
        return result
    cpu, store = last.server_cpu - first.server_cpu, last.store_cpu - first.store_cpu
    return msgspec.structs.replace(
        result,
        per_second=acks / (last.clock - first.clock),
        server_cpu_per_million=cpu * 1e6 / acks if acks else None,
        store_cpu_per_million=store * 1e6 / acks if acks and store else None,
    )


async def audited(
    result: Result, members: list[Socket], publishers: Sequence[AnyPublisher], *, acked: bool
) -> Result:
    """Publish no more, wait until all is quiet, and say what arrived and what should have."""
    for publisher in publishers:
        publisher.stopped = True
    expected = sum(publisher.number for publisher in publishers) * (1 if acked else len(members))
    await settle(members, expected)
    received = sum(member.received for member in members)
    return msgspec.structs.replace(result, delivered=received, expected=expected)


async def run_closed(job: Closed) -> tuple[Result, list[Socket]]:
    """Closed loop; see `Closed`."""
    paths = make_members(job)
    await connect(job.target, paths)
    members = [member for member, _ in paths]
    publishers = [member for member in members if isinstance(member, AnyPublisher)]
    for publisher in publishers:
        publisher.send(job.window)
    await asyncio.sleep(job.warmup_s)
    for publisher in publishers:
        del publisher.round_trips[:]
    first, answered = read(job.target, members), sum(publisher.answered for publisher in publishers)
    await asyncio.sleep(job.seconds)
    last, acks = read(job.target, members), sum(publisher.answered for publisher in publishers) - answered
    trips = [publisher.round_trips[:] for publisher in publishers]
    result = msgspec.structs.replace(rates(job, first, last, acks), stalls=sum(not times for times in trips))
    return await audited(with_latencies(result, trips), members, publishers, acked=job.acked), members


async def run_streams(job: Streams) -> tuple[Result, list[Socket]]:
    """Closed loop over event streams; see `Streams`."""
    target, dialect, now = job.target, DIALECTS[job.target.dialect], time.time()
    tokens = [token_for(target.secret, place + 1, now) for place in range(job.streams)]
    streams: list[Socket] = [Connection(stream_steps(dialect, ROOM, token)) for token in tokens]
    frame = message_frame(dialect, ROOM, 0, os.urandom(3).hex())
    publisher = PacedPublisher(member_steps(dialect, ROOM, tokens[0]), frame)
    await connect(target, [(member, "") for member in (*streams, publisher)])
    sampled = [streams[place] for place in spread_out(min(8, job.streams), job.streams)]
    busy = True

    async def publish() -> None:
        while busy:
            arrived = min(stream.received for stream in sampled)
            for _ in range(arrived + job.window - publisher.number):
                publisher.send(time.time_ns() // 1000)
            await asyncio.sleep(POLL_S)

    publishing = asyncio.ensure_future(publish())
    await asyncio.sleep(job.warmup_s)
    first = read(target, streams)
    await asyncio.sleep(job.seconds)
    result = between(first, read(target, streams))
    busy = False
    await publishing
    expected = publisher.number * len(streams)
    await settle(streams, expected)
    received = sum(stream.received for stream in streams)
    result = msgspec.structs.replace(result, delivered=received, expected=expected)
    return result, [*streams, publisher]
