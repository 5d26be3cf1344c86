"""Two instances on one Redis, publishers and receivers on both, and the checker of all fault tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.broker import BrokerUnavailableError, ForeignContent, Lost, Retention, new_instance_id
from rtcli_server.broker.opening import now_ms
from rtcli_server.broker.redis.broker import RedisBroker
from rtcli_server.broker.redis.target import parse_redis_url
from rtcli_server.broker.redis.timings import RedisTimings
from rtcli_server.timing.supervision import Supervisor
from tests.support.checker import Outcome, Receiver, Sent, Verdict, check
from tests.support.waiting import until

ROOMS = ("user:a", "user:b")
QUICK = RedisTimings(
    connect_s=0.5,
    request_s=0.5,
    first_retry_s=0.01,
    max_retry_s=0.1,
    check_s=1.0,
    probe_s=0.1,
    delivery_s=0.2,
    unsubscribe_s=0.1,
)
PATIENT = replace(QUICK, connect_s=2.0, request_s=2.0, delivery_s=2.0)
"""As patient as what is shipped, for a way that is slow and loses nothing."""

KEEP = Retention(max_count=1_000_000, max_channel_bytes=10**9)


def quick_broker(
    url: str,
    retention: Retention = KEEP,
    timings: RedisTimings = QUICK,
    foreign: ForeignContent | None = None,
) -> RedisBroker:
    """A broker that does not wait long for anything."""
    target = parse_redis_url(url)
    return RedisBroker(
        target.shards[0],
        retention,
        prefix=target.prefix,
        instance_id=new_instance_id(),
        timings=timings,
        now_ms=now_ms,
        foreign=foreign or ForeignContent(),
        supervisor=Supervisor(),
    )


class Instance:
    """A broker at work, and what a member of each room there was given and told."""

    def __init__(self, name: str, broker: RedisBroker) -> None:
        self.name = name
        self.broker = broker
        self.receivers: dict[str, Receiver] = {}
        self.latest: dict[str, Position] = {}

    async def join(self, room: str) -> None:
        """Subscribe, read where the room is, and go live, as a server does."""
        self.broker.subscribe(room)
        top = await self._top(room)
        self.latest.setdefault(room, top)
        self.receivers[room] = Receiver(f"{self.name} {room}", room, top)

    async def _top(self, room: str) -> Position:
        """Where the room is, once the instance is connected: the faults come later."""
        async with asyncio.timeout(20):
            while True:
                try:
                    return (await self.broker.history(room, since=None, limit=0)).top
                except BrokerUnavailableError:
                    await asyncio.sleep(0.05)

    def deliver(self, publication: Publication) -> None:
        """Record a delivery, and the gap before it that it shows."""
        receiver = self.receivers.get(publication.channel)
        if receiver is None:
            self.latest[publication.channel] = publication.position
            return
        self._tell(receiver, publication.position._replace(offset=publication.offset - 1))
        receiver.events.append((publication.data.decode(), publication.position))
        self.latest[publication.channel] = publication.position

    async def arrive(self, room: str, top: Position) -> None:
        """Wait until it got, or was told of, everything up to `top`."""
        await until(lambda: self.latest[room] == top, f"{self.name} at {top} of {room}")

    def lost(self, lost: Lost) -> None:
        """Record what will not come."""
        self._tell(self.receivers[lost.channel], lost.position)
        self.latest[lost.channel] = lost.position

    def _tell(self, receiver: Receiver, until: Position) -> None:
        latest = self.latest[receiver.room]
        if until.epoch != latest.epoch:
            receiver.left_behind.add(latest.epoch)
            latest = Position(until.epoch, 0)
        if until.offset > latest.offset:
            receiver.gaps.append((until.epoch, latest.offset + 1, until.offset))


@asynccontextmanager
async def instance(name: str, url: str, timings: RedisTimings = QUICK) -> AsyncIterator[Instance]:
    """Run one instance that has members in all rooms."""
    made = Instance(name, quick_broker(url, timings=timings))
    task = asyncio.create_task(made.broker.run(made.deliver, made.lost))
    await asyncio.sleep(0)
    try:
        for room in ROOMS:
            await made.join(room)
        yield made
    finally:
        await made.broker.close()
        await asyncio.wait_for(task, 20)


@dataclass
class Traffic:
    """Publishers on every instance, until `stop`."""

    instances: list[Instance]
    sent: dict[str, Sent] = field(default_factory=dict)
    stopping: bool = False
    slowest_refusal_s: float = 0.0

    async def publisher(self, number: int) -> None:
        """Publish one by one; repeat what has an unknown outcome, now and then, on another instance."""
        turn = 0
        while not self.stopping:
            turn += 1
            key, room = f'{{"k":"{number}.{turn}"}}', ROOMS[turn % len(ROOMS)]
            for attempt in range(3):
                broker = self.instances[(number + attempt) % len(self.instances)].broker
                if await self.publish(broker, room, key) or turn % 2:
                    break
            await asyncio.sleep(0.002)

    async def publish(self, broker: RedisBroker, room: str, key: str) -> bool:
        """Publish and record the outcome; returns whether it was acknowledged."""
        before = self.sent.get(key)
        self.sent[key] = Sent(key, room, Outcome.UNKNOWN)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            position, _ = await broker.publish(room, "e", key.encode(), key=key, time_ms=now_ms())
        except BrokerUnavailableError as error:
            self.slowest_refusal_s = max(self.slowest_refusal_s, loop.time() - began)
            if not error.maybe_published and (before is None or before.outcome is Outcome.REFUSED):
                self.sent[key] = Sent(key, room, Outcome.REFUSED)
            return False
        self.sent[key] = Sent(key, room, Outcome.ACKNOWLEDGED, position)
        return True

    def acknowledged(self) -> int:
        """How many, so far."""
        return sum(record.outcome is Outcome.ACKNOWLEDGED for record in self.sent.values())

    async def more(self, number: int = 50) -> None:
        """Wait until that many more publishes were acknowledged: everything works again."""
        target = self.acknowledged() + number
        await until(lambda: self.acknowledged() >= target, f"{number} more acknowledgements")


async def run_with(
    instances: list[Instance], fault: Callable[[Traffic], Awaitable[None]], publishers: int = 8
) -> tuple[Traffic, Verdict]:
    """Let traffic flow, let `fault` happen, wait for the end of both, and check."""
    traffic = Traffic(instances)
    tasks = [asyncio.create_task(traffic.publisher(number)) for number in range(publishers)]
    await traffic.more()
    await fault(traffic)
    await traffic.more()
    traffic.stopping = True
    await asyncio.gather(*tasks)
    for room in ROOMS:
        top = (await instances[0].broker.history(room, since=None, limit=0)).top
        for one in instances:
            await one.arrive(room, top)
    receivers = [receiver for one in instances for receiver in one.receivers.values()]
    return traffic, check(traffic.sent.values(), receivers)
