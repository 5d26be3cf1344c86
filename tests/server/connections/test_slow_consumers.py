"""Slow consumers: delivery stops, what was missed is read from the log, and there is a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rtcli.protocol.codes import CloseCode
from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.broker import BrokerUnavailableError, HistoryPage
from rtcli_server.connections.send_budget import SendBudget
from rtcli_server.connections.slow_consumers import READ_AGAIN_S, SlowConsumers
from rtcli_server.delivery.channel import State, Subscription
from rtcli_server.timing.tasks import BackgroundTasks
from tests.support.fakes.fanout import EPOCH, FakeSubscriber, Turns, at, join, new_fanout, publication
from tests.support.waiting import until_idle

PIECE_BYTES = 300  # four publications


class SlowClient(FakeSubscriber):
    def __init__(self) -> None:
        super().__init__()
        self.connection_id = "slow"
        self.codes: list[CloseCode] = []
        self.raises = False

    def shut_down(self, code: CloseCode, reason: str, retry_after_ms: int | None) -> None:  # noqa: ARG002 - the interface of clients
        if self.raises:
            raise RuntimeError("no transport")
        self.codes.append(code)


class World:
    """A fan-out with a log of one channel."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.fanout = new_fanout(self.turns)
        self.tasks = BackgroundTasks()
        self.log: list[Publication] = []
        self.away = False
        self.reads = 0
        self.readable = asyncio.Event()
        self.readable.set()
        self.now = 100.0
        self.budget = SendBudget(16 * PIECE_BYTES, 1_000_000)
        self.slow = SlowConsumers(
            self.fanout,
            self.history,
            self.budget,
            spawn=self.tasks.spawn,
            now=lambda: self.now,
            deadline_s=30.0,
        )

    async def history(self, channel: str, *, since: Position | None, limit: int) -> HistoryPage:
        assert channel == "room:a"
        assert since is not None
        self.reads += 1
        await self.readable.wait()
        if self.away:
            raise BrokerUnavailableError("away")
        found = [item for item in self.log if item.offset > since.offset][:limit]
        return HistoryPage(found, at(len(self.log)))

    def publish(self) -> None:
        new = publication(len(self.log) + 1)
        self.log.append(new)
        self.fanout.deliver(new)
        self.turns.run()

    def client(self) -> tuple[SlowClient, list[Subscription]]:
        client = SlowClient()
        return client, [join(self.fanout, client, Position(EPOCH, len(self.log)))]

    def fill(self, client: SlowClient, subscriptions: list[Subscription], *, full: bool) -> None:
        client.full = full
        if full:
            self.slow.busy(client, subscriptions)
            self.slow.stall(client, subscriptions)
        else:
            self.slow.drained(client, subscriptions)

    async def rest(self) -> None:
        await until_idle(self.tasks)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.tasks.cancel()


async def test_one_that_drains_gets_what_it_missed_and_its_deadline_ends(world: World) -> None:
    client, subscriptions = world.client()
    world.publish()
    world.fill(client, subscriptions, full=True)
    for _ in range(3):
        world.publish()
    assert (len(world.slow), len(client.texts)) == (1, 1)
    world.fill(client, subscriptions, full=False)
    await world.rest()
    assert len(client.texts) == 4
    assert [one.state for one in subscriptions] == [State.LIVE]
    assert len(world.slow) == 0
    world.now += 100
    world.slow.tick(world.now)
    assert client.codes == []


async def test_the_deadline_runs_from_the_first_stall_and_closes_once(world: World) -> None:
    client, subscriptions = world.client()
    world.fill(client, subscriptions, full=True)
    world.now += 20.0
    world.fill(client, subscriptions, full=True)
    world.slow.tick(130.0)
    assert client.codes == []
    world.slow.tick(130.1)
    world.slow.tick(131.0)
    assert client.codes == [CloseCode.SLOW_CONSUMER]


async def test_one_that_cannot_be_closed_at_the_deadline_is_cut(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    (failing, first), (late, second) = world.client(), world.client()
    failing.raises = True
    world.fill(failing, first, full=True)
    world.fill(late, second, full=True)
    world.slow.tick(130.1)
    assert failing.is_cut
    assert late.codes == [CloseCode.SLOW_CONSUMER]
    assert "RuntimeError: no transport" in caplog.text


async def test_draining_twice_reads_the_log_once(world: World) -> None:
    client, subscriptions = world.client()
    world.fill(client, subscriptions, full=True)
    world.publish()
    world.readable.clear()
    for _ in range(2):
        world.fill(client, subscriptions, full=False)
        await asyncio.sleep(0)
    world.readable.set()
    await world.rest()
    assert world.reads == 1


async def test_without_the_log_the_deadline_goes_on_and_the_next_drain_tries_again(world: World) -> None:
    client, subscriptions = world.client()
    world.fill(client, subscriptions, full=True)
    world.publish()
    world.away = True
    world.fill(client, subscriptions, full=False)
    await world.rest()
    assert (len(world.slow), client.texts) == (1, [])
    world.away = False
    world.fill(client, subscriptions, full=False)
    await world.rest()
    assert (len(world.slow), len(client.texts)) == (0, 1)


async def test_a_subscription_that_is_added_while_it_catches_up_counts_too(world: World) -> None:
    client, subscriptions = world.client()
    world.fill(client, subscriptions, full=True)
    world.publish()
    world.readable.clear()
    world.fill(client, subscriptions, full=False)
    await asyncio.sleep(0)
    added = world.fanout.open("room:a", client)
    added.replay_from(at(0))
    added.channel.release()
    subscriptions.append(added)
    world.readable.set()
    await world.rest()
    assert [one.state for one in subscriptions] == [State.LIVE, State.LIVE]
    assert len(world.slow) == 0


async def test_one_that_is_gone_has_no_deadline(world: World) -> None:
    client, subscriptions = world.client()
    world.fill(client, subscriptions, full=True)
    world.slow.forget(client, subscriptions)
    world.slow.tick(1_000.0)
    assert client.codes == []


# -- long replays ----------------------------------------------------------------------------------------


def replay(world: World, count: int) -> tuple[SlowClient, list[Subscription], list[str]]:
    """A client that is owed `count` publications of the log, and what it was told at the end."""
    for _ in range(count):
        world.publish()
    client = SlowClient()
    subscription = world.fanout.open("room:a", client)
    subscription.replay_from(at(0))
    subscription.channel.release()
    told: list[str] = []
    world.slow.when_written(subscription, lambda: told.append(subscription.state.name))
    return client, [subscription], told


async def test_a_replay_is_written_in_pieces_while_there_is_room(world: World) -> None:
    client, subscriptions, told = replay(world, 10)
    client.on_write = lambda: setattr(client, "full", len(client.batches) == 2)
    world.slow.replay(client, subscriptions)
    await world.rest()
    assert ([len(batch) for batch in client.batches if isinstance(batch, tuple)], told) == ([4, 4], [])
    client.full = False
    world.slow.drained(client, subscriptions)
    await world.rest()
    assert (len(client.texts), told) == (10, ["LIVE"])


async def test_a_replay_without_room_has_a_deadline_which_begins_anew_with_each_piece(world: World) -> None:
    client, subscriptions, _ = replay(world, 10)
    client.on_write = lambda: setattr(client, "full", True)
    world.slow.replay(client, subscriptions)
    for _ in range(2):
        await world.rest()
        world.now += 29.0
        world.slow.tick(world.now)
        assert client.codes == []
        client.full = False
        world.slow.drained(client, subscriptions)
    await world.rest()
    world.now += 31.0
    world.slow.tick(world.now)
    assert client.codes == [CloseCode.SLOW_CONSUMER]


async def test_a_replay_goes_on_when_the_log_is_back(world: World) -> None:
    client, subscriptions, told = replay(world, 10)
    world.away = True
    world.slow.replay(client, subscriptions)
    await world.rest()
    world.slow.tick(world.now)
    await world.rest()
    world.away = False
    world.slow.tick(world.now + READ_AGAIN_S / 2)
    await world.rest()
    assert client.texts == []
    world.slow.tick(world.now + READ_AGAIN_S)
    await world.rest()
    assert (len(client.texts), told) == (10, ["LIVE"])


async def test_a_replay_of_a_client_that_is_gone_ends(world: World) -> None:
    client, subscriptions, told = replay(world, 10)
    client.full = True
    world.slow.replay(client, subscriptions)
    await world.rest()
    world.fanout.close(subscriptions[0])
    world.slow.forget(client, subscriptions)
    assert told == ["LEFT"]
    world.slow.tick(1_000.0)
    assert (client.codes, world.budget.busy) == ([], set())
