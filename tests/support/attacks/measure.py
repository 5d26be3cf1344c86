"""Measures what an attack costs.

    async with measure(target, "half-open handshakes", connections=50) as attack:
        peers = [await attack.connect(Peer(b"GET / HT")) for _ in range(50)]
        ...

When the block ends, its attackers are cut off. What the server does not give back then is in the cost; the
bounds are checked at the end, and a good client must be served.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from tests.support.attacks.figures import ANONYMOUS, Bounds, Cost
from tests.support.attacks.target import Target
from tests.support.clients.peers import Peer, WsPeer, connect, drop
from tests.support.servers.server_process import LOOPBACK
from tests.support.servers.watch import log_is_clean, serves_a_good_client, until_metric

SETTLE_S = 10.0  # for memory to be given back
DEAF_BUFFER, DEAF_SEGMENT = 4_096, 536
BACK_S = 60.0  # for connections and descriptors
P = TypeVar("P", bound=Peer)


class Attack:
    """The attackers of one measured block: what is given to it is cut off at the block's end."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.peers: list[Peer] = []
        self._sockets = contextlib.ExitStack()

    async def connect(self, peer: P, *, receive_buffer: int | None = None, source: str | None = None) -> P:
        """Connect a peer of `tests.support.clients.peers`, which sends its request at once."""
        self.peers.append(peer)
        return await connect(self.target.port, peer, receive_buffer=receive_buffer, source=source)

    async def connect_deaf(self, peer: P, *, source: str | None = None) -> P:
        """Connect a peer for which the kernels hold very little, so that the server has to hold the rest."""
        self.peers.append(peer)
        return await connect(
            self.target.port, peer, receive_buffer=DEAF_BUFFER, segment=DEAF_SEGMENT, source=source
        )

    def socket(self, *, receive_buffer: int | None = None, timeout_s: float = 5.0) -> socket.socket:
        """Open a blocking connection: its reads and writes belong in a thread (`asyncio.to_thread`)."""
        sock = self._sockets.enter_context(socket.socket())
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(timeout_s)
        sock.connect((LOOPBACK, self.target.port))
        return sock

    def end(self) -> None:
        """Cut all attackers off."""
        drop(peer for peer in self.peers if hasattr(peer, "transport"))
        self._sockets.close()


class Measure:
    """Measures attacks; `record` is given the cost of each. `bounds` can be others for an attack."""

    def __init__(self, record: Callable[[Cost], None]) -> None:
        self._record = record

    @contextlib.asynccontextmanager
    async def __call__(
        self,
        target: Target,
        name: str,
        *,
        connections: int,
        bounds: Bounds = ANONYMOUS,
        address_cap: int | None = 100,
        settle_s: float = SETTLE_S,
    ) -> AsyncIterator[Attack]:
        """Measure the block, record its cost and check it.

        `connections` is the number of attacking connections, by which memory is divided. `address_cap` is the
        cap of the target on connections from one address, None where it has none: afterwards so many good
        clients must be let in from the attackers' address. `settle_s`: how long memory may take to come back.
        """
        await serves_a_good_client(target)  # what is loaded at the first use is not the attack's
        await until_metric(target, "rtcli_connections", 0)
        await target.reset()
        resident, descriptors, logged = target.resident_bytes, target.descriptors, target.log_bytes
        attack = Attack(target)
        try:
            yield attack
            peak = target.peak_bytes - resident
        finally:
            attack.end()
        lost = await _connections_left(target)
        left = await _settled(lambda: target.descriptors - descriptors - 1, SETTLE_S)
        await target.until_loop_turns()
        held = target.longest_held_s
        after = await _settled(lambda: target.resident_bytes - resident - int(bounds.after_bytes), settle_s)
        lost += 0 if address_cap is None or lost else await _places_missing(target, address_cap)
        cost = Cost(
            attack=name,
            target=target.kind,
            connections=connections,
            peak_bytes=peak,
            after_bytes=after + int(bounds.after_bytes),
            held_s=held,
            descriptors=max(0, left),
            places_lost=lost,
            log_bytes=target.log_bytes - logged,
        )
        self._record(cost)
        beyond = cost.beyond(bounds)
        assert not beyond, f"{name}: {'; '.join(beyond)}"
        await serves_a_good_client(target)
        log_is_clean(target)


async def _connections_left(target: Target) -> int:
    """How many connections the server still counts when it had time to notice that nobody is there."""
    deadline = time.monotonic() + BACK_S
    while (left := await target.connections()) and time.monotonic() < deadline:  # noqa: ASYNC110 - it has to be asked
        await asyncio.sleep(0.05)
    return left


async def _settled(excess: Callable[[], int], settle_s: float) -> int:
    """Wait until a figure is not too large any more, but not for ever; return it."""
    deadline = time.monotonic() + settle_s
    while (more := excess()) > 0 and time.monotonic() < deadline:  # noqa: ASYNC110 - the kernel knows, and tells nobody
        await asyncio.sleep(0.05)
    return more


async def _places_missing(target: Target, cap: int) -> int:
    """How many of the places of an address cannot be taken."""
    crowd = [await connect(target.port, WsPeer(f"after-{number}")) for number in range(cap)]
    let_in = await asyncio.gather(*(_is_let_in(peer) for peer in crowd))
    drop(crowd)
    await until_metric(target, "rtcli_connections", 0)
    return let_in.count(False)


async def _is_let_in(peer: WsPeer) -> bool:
    with contextlib.suppress(ConnectionError, TimeoutError):
        await asyncio.wait_for(asyncio.shield(peer.ready), 30)
    return peer.ready.done() and peer.ready.exception() is None and peer.closing is None
