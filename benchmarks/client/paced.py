"""Open loops: latencies at a given rate, clients that never read, many idle connections."""

import asyncio
import itertools
import os
import time
from collections.abc import Callable

import msgspec

from benchmarks.client.dialects import DIALECTS, token_for
from benchmarks.client.jobs import Idle, Paced, Result, Source
from benchmarks.client.members import Connection, Frozen, PacedPublisher, Sampler, member_steps, message_frame
from benchmarks.client.readings import ROOM, Socket, between, connect, read, settle, with_latencies
from benchmarks.system import resident_bytes

TICK_S = 0.001


async def publish_at(rate: float, seconds: float, send: Callable[[int], None]) -> int:
    """Call `send` with the intended time (µs) of each of ``rate * seconds`` messages; returns how many."""
    total, start = int(rate * seconds), time.time_ns() // 1000
    done = 0
    while done < total:
        due = min(total, int((time.time_ns() // 1000 - start) * rate / 1e6) + 1)
        for number in range(done, due):
            send(start + int(number * 1e6 / rate))
        done = max(done, due)
        await asyncio.sleep(TICK_S)
    return total


async def run_paced(job: Paced) -> tuple[Result, list[Socket]]:
    """Open loop; see `Paced`."""
    target, dialect, now = job.target, DIALECTS[job.target.dialect], time.time()

    def steps(place: int) -> list[tuple[bytes, bytes]]:
        return member_steps(dialect, ROOM, token_for(target.secret, place + 1, now))

    publisher = PacedPublisher(steps(0), message_frame(dialect, ROOM, 0, os.urandom(3).hex(), job.length))
    samplers = [Sampler(steps(place)) for place in range(1, job.sockets, job.sample)]
    others = [Connection(steps(place)) for place in range(1, job.sockets) if (place - 1) % job.sample]
    frozen = [Frozen(steps(job.sockets + place)) for place in range(job.frozen)]
    members: list[Socket] = [publisher, *samplers, *others]
    await connect(target, [(member, "") for member in (*frozen, *members)])
    await publish_at(job.rate, job.warmup_s, publisher.send)
    await settle(members, publisher.number * len(members))
    for sampler in samplers:
        del sampler.latencies[:]
    first, memory = read(target, members), resident_bytes(target.pids)
    sent = await publish_at(job.rate, job.seconds, publisher.send)
    last = read(target, members)
    await settle(members, first.received + sent * len(members))
    result = msgspec.structs.replace(
        between(first, last),
        delivered=sum(member.received for member in members) - first.received,
        expected=sent * len(members),
        grown_bytes=resident_bytes(target.pids) - memory,
    )
    return with_latencies(result, [sampler.latencies for sampler in samplers]), [*members, *frozen]


async def run_source(job: Source) -> tuple[Result, list[Socket]]:
    """Publish for others to receive; see `Source`."""
    target, dialect = job.target, DIALECTS[job.target.dialect]
    steps = member_steps(dialect, ROOM, token_for(target.secret, 1, time.time()))
    publisher = PacedPublisher(steps, message_frame(dialect, ROOM, 0, os.urandom(3).hex()))
    await connect(target, [(publisher, "")])
    await asyncio.sleep(max(0.0, job.start_s - time.time()))
    first = read(target, [publisher])
    await publish_at(job.rate, job.seconds, publisher.send)
    await asyncio.sleep(max(0.0, job.start_s + job.seconds - time.time()))
    return between(first, read(target, [publisher])), [publisher]


async def run_idle(job: Idle) -> tuple[Result, list[Socket]]:
    """Connect many, see what each costs, then chat among them; see `Idle`."""
    target, dialect, now = job.target, DIALECTS[job.target.dialect], time.time()
    run = os.urandom(3).hex()
    senders: list[PacedPublisher] = []
    samplers: list[Sampler] = []
    for place in range(job.sockets):
        number, first_in_room = divmod(place, job.room_size)
        steps = member_steps(dialect, f"{ROOM}{number}", token_for(target.secret, place + 1, now))
        if first_in_room == 0:
            frame = message_frame(dialect, f"{ROOM}{number}", number % 100, f"{run}{number}-")
            senders.append(PacedPublisher(steps, frame))
        else:
            samplers.append(Sampler(steps))
    members: list[Socket] = [*senders, *samplers]
    before, started = resident_bytes(target.pids), time.perf_counter()
    await connect(target, [(member, "") for member in members], job.at_once)
    took = time.perf_counter() - started
    await asyncio.sleep(job.rest_s)
    grown, first = resident_bytes(target.pids) - before, read(target, members)
    turns = itertools.cycle(senders)
    sent = await publish_at(job.rate, job.seconds, lambda due: next(turns).send(due))
    await settle(members, first.received + sent * job.room_size)
    delivered = sum(member.received for member in members)
    result = msgspec.structs.replace(
        between(first, read(target, members)),
        delivered=delivered - first.received,
        expected=sent * job.room_size,
        accepts_per_second=job.sockets / took,
        bytes_per_connection=grown / job.sockets,
    )
    return with_latencies(result, [sampler.latencies for sampler in samplers]), members
