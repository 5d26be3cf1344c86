"""Counters taken at two moments and the rates between them; connecting; waiting for stragglers."""

import asyncio
import socket
import time
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle

import msgspec
import picows

from benchmarks.client.jobs import Result, Target
from benchmarks.client.members import Connection, Frozen
from benchmarks.client.strict import StrictMember
from benchmarks.stats import percentile
from benchmarks.system import cpu_seconds

ROOM = "bench"
CONNECT_S = 60.0
SETTLE_S = 0.05
Socket = Connection | StrictMember


@dataclass
class Reading:
    """Counters at one moment."""

    clock: float
    server_cpu: float
    store_cpu: float
    client_cpu: float
    received: int


def read(target: Target, members: Iterable[Socket]) -> Reading:
    """Take the counters of the server's processes, of this process and of the members."""
    received = sum(member.received for member in members)
    server, store = cpu_seconds(target.pids), cpu_seconds(target.store_pids)
    return Reading(time.perf_counter(), server, store, time.process_time(), received)


def between(first: Reading, last: Reading) -> Result:
    """The rates between two readings."""
    elapsed, count = last.clock - first.clock, last.received - first.received
    cpu, store_cpu = last.server_cpu - first.server_cpu, last.store_cpu - first.store_cpu
    return Result(
        per_second=count / elapsed,
        delivered=count,
        server_cpu_per_million=cpu * 1e6 / count if count else None,
        store_cpu_per_million=store_cpu * 1e6 / count if count and store_cpu else None,
        server_share=cpu / elapsed,
        client_share=(last.client_cpu - first.client_cpu) / elapsed,
    )


def with_latencies(result: Result, samples: "Iterable[array[float]]") -> Result:
    """`result` with the percentiles of all `samples`; unchanged when there are none."""
    ordered = sorted(latency for sample in samples for latency in sample)
    if not ordered:
        return result
    p50, p99 = percentile(ordered, 0.5), percentile(ordered, 0.99)
    return msgspec.structs.replace(result, p50=p50, p99=p99, worst=ordered[-1])


async def open_one(port: int, member: Socket, path: str) -> None:
    """Connect `member` and wait until it is ready."""
    loop = asyncio.get_running_loop()
    if isinstance(member, StrictMember):
        url = f"ws://127.0.0.1:{port}{path}"
        await picows.ws_connect(lambda: member, url, websocket_handshake_timeout=CONNECT_S)
    elif isinstance(member, Frozen):
        await loop.create_connection(lambda: member, sock=small_socket(port))
    else:
        await loop.create_connection(lambda: member, "127.0.0.1", port)
    await member.ready


def small_socket(port: int) -> socket.socket:
    """A connected socket with the smallest receive buffer: the server's side fills soon."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", port))
    made.settimeout(0)
    return made


async def connect(target: Target, members: Sequence[tuple[Socket, str]], at_once: int = 100) -> None:
    """Connect members, each with its path, `at_once` at a time, in order; wait until all are ready.

    With several instances, each takes every n-th member.
    """
    gate = asyncio.Semaphore(at_once)
    ports = cycle([target.port, *target.more_ports])

    async def one(port: int, member: Socket, path: str) -> None:
        async with gate:
            await open_one(port, member, path)

    async with asyncio.timeout(CONNECT_S):
        await asyncio.gather(
            *(one(port, member, path) for port, (member, path) in zip(ports, members, strict=False))
        )


async def settle(members: Iterable[Socket], wanted: int, limit_s: float = 5.0) -> None:
    """Wait until `members` have received `wanted` messages, at most `limit_s`."""
    members = list(members)
    for _ in range(int(limit_s / SETTLE_S)):
        if sum(member.received for member in members) >= wanted:
            return
        await asyncio.sleep(SETTLE_S)


def spread_out(count: int, total: int) -> set[int]:
    """`count` places among `total`, evenly spaced, the last one always among them.

    >>> sorted(spread_out(4, 10))
    [1, 4, 6, 9]
    """
    return {(index + 1) * total // count - 1 for index in range(count)}
