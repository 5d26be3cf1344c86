"""What others write under our keys, who may write there, and that nothing stays for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis as client

from rtcli.protocol.position import Position
from rtcli.protocol.publication import NEW_MESSAGE
from rtcli_server.broker import BrokerUnavailableError, ForeignContent, Lost, Place, Retention, UserWatcher
from rtcli_server.broker.redis.timings import RedisTimings
from rtcli_server.broker.redis.wire import REQUIRED_ACL
from tests.support.brokers.foreign_content import (
    DAMAGE,
    FORGED_EVENTS,
    FORGED_MESSAGES,
    FORGED_OBJECTS,
    MESSAGES,
    META,
    PUBSUB_CHANNEL,
    STREAM,
    USERS_MESSAGES,
    USERS_PUBSUB_CHANNEL,
)
from tests.support.brokers.redis_traffic import KEEP, quick_broker
from tests.support.brokers.running import ROOM, Running, Watcher, event_with, offsets, running
from tests.support.redis.server import RedisServer
from tests.support.waiting import until

pytestmark = pytest.mark.system

VALID = event_with(ROOM, 6)[1]


@pytest.fixture
def server(redis_of_session: RedisServer) -> RedisServer:
    redis_of_session.command("FLUSHALL")
    return redis_of_session


@pytest.fixture
def foreign() -> ForeignContent:
    """What the log has skipped."""
    return ForeignContent()


@asynccontextmanager
async def running_on(
    server: RedisServer, retention: Retention, foreign: ForeignContent, users: UserWatcher | None = None
) -> AsyncIterator[Running]:
    """A broker at work without members."""
    log = Running(quick_broker(server.url, retention, foreign=foreign))
    task = asyncio.create_task(log.broker.run(log.delivered.append, log.lost.append, None, users))
    await asyncio.sleep(0)
    yield log
    await log.broker.close()
    await task


@pytest.fixture
async def log(server: RedisServer, foreign: ForeignContent) -> AsyncIterator[Running]:
    """A room with five publications and a member."""
    async with running_on(server, KEEP, foreign) as record:
        record.broker.subscribe(ROOM)
        await record.page()
        for _ in range(5):
            await record.publish()
        await record.wait_delivered(5)
        yield record


@pytest.mark.parametrize("payload", MESSAGES, ids=range(len(MESSAGES)))
async def test_foreign_messages_are_skipped_and_counted(
    server: RedisServer, log: Running, foreign: ForeignContent, payload: bytes
) -> None:
    with client.Redis(port=server.port) as other:
        other.publish(PUBSUB_CHANNEL, payload)
    await until(lambda: foreign.counts[Place.MESSAGE] == 1, "the message was met")
    await log.publish()
    await log.wait_delivered(6)
    assert offsets(log.delivered) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("message", USERS_MESSAGES, ids=range(len(USERS_MESSAGES)))
async def test_foreign_messages_of_all_users_are_skipped_and_counted(
    server: RedisServer, foreign: ForeignContent, message: bytes
) -> None:
    watcher = Watcher()
    async with running_on(server, KEEP, foreign, watcher) as log:
        log.broker.subscribe("user:7")
        await log.page("user:7")
        with client.Redis(port=server.port) as other:
            other.publish(USERS_PUBSUB_CHANNEL, message)
        await until(lambda: foreign.counts[Place.MESSAGE] == 1, "the message was met")
        await log.publish("user:7")
        await log.wait_delivered(1)
        assert watcher.told == {"user:7": 1}


async def test_neither_reader_lets_a_forged_publication_through(
    server: RedisServer, log: Running, foreign: ForeignContent
) -> None:
    """The same ones in the stream and from pub/sub, each at the place where the next one is expected."""
    forged = [("tick", VALID), *[(name, VALID) for name in FORGED_EVENTS if name != NEW_MESSAGE]]
    forged += [(NEW_MESSAGE, data) for data in FORGED_OBJECTS]
    forged += [(NEW_MESSAGE, json.dumps(message).encode()) for message in FORGED_MESSAGES]
    epoch = log.delivered[-1].epoch
    with client.Redis(port=server.port) as other:
        for offset, (event, data) in enumerate(forged, start=6):
            other.publish(PUBSUB_CHANNEL, b"1 %b-6 1 %b\n%b" % (epoch.encode(), event.encode(), data))
            other.xadd(STREAM, {"e": event, "d": data, "t": "1", "b": "1"}, id=f"{offset}-0")
        other.hset(META, "top", str(5 + len(forged)))
    await until(lambda: foreign.counts[Place.MESSAGE] == len(forged), "all messages were met")
    page = await log.page()
    assert offsets(page.publications) == [1, 2, 3, 4, 5]
    assert page.top.offset == 5 + len(forged)
    assert foreign.counts[Place.LOG] >= len(forged)
    position = (await log.publish()).position
    await until(lambda: log.delivered[-1].position == position, "the next one of ours")
    assert len(log.delivered) == 6


def sent_bytes(server: RedisServer) -> int:
    """What this Redis has sent to anybody."""
    return int(server.admin.info("stats")["total_net_output_bytes"])


@pytest.mark.parametrize(
    "fields", [{"d": b"x" * 5_000_000}, {"e": "e", "d": "{}", "t": "1", "x": "x" * 5_000_000}]
)
async def test_an_entry_that_is_too_large_stays_in_redis(
    server: RedisServer, foreign: ForeignContent, fields: dict[str, str | bytes]
) -> None:
    async with running_on(server, Retention(), foreign) as log:
        first = (await log.publish()).position
        with client.Redis(port=server.port) as other:
            other.xadd(STREAM, fields, id="2-0")
            other.hset(META, "top", "2")
        await log.publish()
        before = sent_bytes(server)
        assert offsets((await log.page()).publications) == [1, 3]
        assert offsets((await log.page(since=first)).publications) == [3]
        assert sent_bytes(server) - before < 100_000
    assert foreign.counts[Place.LOG] == 2


async def test_a_page_is_bounded_in_bytes_and_the_next_one_goes_on(
    server: RedisServer, foreign: ForeignContent
) -> None:
    async with running_on(server, Retention(max_channel_bytes=1_000_000), foreign) as log:
        first = (await log.publish()).position
        with client.Redis(port=server.port) as other:
            for offset in range(2, 12):
                other.xadd(STREAM, {"e": "x", "d": b"x" * 900_000, "t": "1", "b": "1"}, id=f"{offset}-0")
            other.hset(META, "top", "11")
        await log.publish()
        before = sent_bytes(server)
        assert offsets((await log.page()).publications) == [12]
        assert sent_bytes(server) - before < 2_100_000
        assert offsets((await log.page(since=first)).publications) == [12]


async def test_a_message_from_nowhere_is_compared_with_the_stream(server: RedisServer, log: Running) -> None:
    for position in ("zzzzzzzz-7", f"{log.delivered[0].epoch}-70"):
        with client.Redis(port=server.port) as other:
            other.publish(PUBSUB_CHANNEL, f"1 {position} 1 new_message\n{VALID.decode()}")
    await log.publish()
    await log.wait_delivered(6)
    assert offsets(log.delivered) == [1, 2, 3, 4, 5, 6]
    assert log.lost == []


@pytest.mark.parametrize(("damage", "new_epoch"), DAMAGE, ids=[row[0].__name__ for row in DAMAGE])
@pytest.mark.parametrize("found_by", ["publish", "history"])
async def test_damaged_state_kills_nothing_and_no_position_is_given_twice(
    server: RedisServer,
    log: Running,
    damage: Callable[[client.Redis], None],
    *,
    new_epoch: bool,
    found_by: str,
) -> None:
    before = Position(log.delivered[-1].epoch, 5)
    with client.Redis(port=server.port) as other:
        damage(other)
    if found_by == "history":
        await log.page()
    position = (await log.publish()).position
    assert position == (Position(position.epoch, 1) if new_epoch else before._replace(offset=6))
    assert (position.epoch == before.epoch) is not new_epoch
    page = await log.page()
    assert page.publications[-1].position == page.top == position
    await until(lambda: log.delivered[-1].position == position, "the delivery")
    assert (await log.publish()).position.offset == position.offset + 1
    await log.wait_delivered(7)
    assert len(log.delivered) == 7


async def test_an_idempotency_key_of_another_kind_is_replaced(server: RedisServer, log: Running) -> None:
    server.command("RPUSH", f"rt:{{{ROOM}}}:k:7:c", "x")
    first = await log.publish(key="7:c")
    assert not first.duplicate
    assert (await log.publish(key="7:c")) == (first.position, True)


async def test_a_log_that_was_emptied_while_nothing_is_published_is_reported(
    server: RedisServer, log: Running
) -> None:
    server.command("FLUSHALL")
    await until(lambda: bool(log.lost), "a check found it")
    [lost] = log.lost
    assert lost.channel == ROOM
    assert lost.position.offset == 0
    assert lost.position.epoch != log.delivered[-1].epoch


async def test_the_last_message_is_found_by_the_check_when_pubsub_lost_it(
    server: RedisServer, log: Running
) -> None:
    """Nothing comes after it that would show the hole."""
    with client.Redis(port=server.port) as other:
        fields = {"e": NEW_MESSAGE, "d": VALID, "t": str(log.delivered[-1].time_ms), "b": "1"}
        other.xadd(STREAM, fields, id="6-0")
        other.hset(META, "top", "6")
    await log.wait_delivered(6)
    assert offsets(log.delivered) == [1, 2, 3, 4, 5, 6]


async def test_messages_that_the_stream_has_lost_are_reported(server: RedisServer, log: Running) -> None:
    with client.Redis(port=server.port) as other:
        other.hset(META, "top", "9")
    await until(lambda: bool(log.lost), "a check found it")
    assert log.lost == [Lost(ROOM, log.delivered[-1].position._replace(offset=9))]
    await log.publish()
    await log.wait_delivered(6)
    assert log.delivered[-1].offset == 10


@pytest.mark.timeout(600)
async def test_every_key_goes_away_by_itself(server: RedisServer, soak: bool) -> None:
    rooms = 100_000 if soak else 1_000
    timings = RedisTimings(check_s=0.05, request_s=20.0)  # for five hundred at once
    broker = quick_broker(server.url, Retention(max_age_s=0.5, idempotency_s=0.5), timings)
    log = Running(broker)
    task = asyncio.create_task(broker.run(log.delivered.append))
    await asyncio.sleep(0)
    for start in range(0, rooms, 500):
        group = range(start, start + 500)
        for number in group:
            broker.subscribe(f"room:{number}")
        await asyncio.gather(*[log.page(f"room:{number}") for number in group])
        await asyncio.gather(*[log.start(f"room:{number}", key="k") for number in group[::2]])
        for number in group:
            broker.unsubscribe(f"room:{number}")
    assert server.admin.info("keyspace")
    await until(lambda: not server.command("KEYS", "rt:{room:*"), "no key of a room")
    await until(lambda: not server.command("PUBSUB", "CHANNELS", "rt:p:*"), "no channel left")
    await broker.close()
    await task
    listening = {"subscribe", "unsubscribe"}
    await until(
        lambda: not [one for one in server.admin.client_list() if one["cmd"] in listening], "no client left"
    )


async def test_a_state_that_is_looked_at_stays(server: RedisServer) -> None:
    """A member who waits for the next message keeps the epoch of the room alive."""
    broker = quick_broker(server.url, Retention(max_age_s=0.1), RedisTimings(check_s=0.2))
    log = Running(broker)
    task = asyncio.create_task(broker.run(log.delivered.append, log.lost.append))
    await asyncio.sleep(0)
    broker.subscribe(ROOM)
    top = (await log.page()).top
    for _ in range(15):
        assert 0 < server.admin.pttl(META) <= 1000
        await asyncio.sleep(0.1)  # beyond the time that the state would live by itself
    assert (await log.publish()).position == Position(top.epoch, 1)
    assert log.lost == []
    await broker.close()
    await task


async def test_the_documented_acl_is_enough(server: RedisServer) -> None:
    server.command("ACL", "SETUSER", "rt", "reset", "on", ">secret", *REQUIRED_ACL.split())
    url = f"redis://rt:secret@127.0.0.1:{server.port}"
    async with running(url, Retention(max_channel_bytes=10_000)) as log:
        await log.wait_ready()
        log.broker.subscribe(ROOM)
        await log.page()
        await asyncio.gather(*[log.start(key=f"k{n}", padding=500) for n in range(100)])
        await log.wait_delivered(100)
        assert (await log.page()).top.offset == 100
        log.broker.unsubscribe(ROOM)
        await asyncio.sleep(0)
    denied = server.command("ACL", "LOG")
    assert denied == []


@pytest.mark.parametrize("right", ["hmget", "exists", "xadd", "hset", "pexpire", "get", "set", "publish"])
async def test_a_right_that_is_taken_away_for_a_while_costs_no_publication(
    server: RedisServer, right: str
) -> None:
    server.command("ACL", "SETUSER", "rt", "reset", "on", ">secret", *REQUIRED_ACL.split())
    async with running(f"redis://rt:secret@127.0.0.1:{server.port}") as log:
        await log.wait_ready()
        published = [await log.publish(key="first")]
        server.command("ACL", "SETUSER", "rt", f"-{right}")
        for number in range(3):
            [outcome] = await asyncio.gather(log.publish(key=f"meanwhile {number}"), return_exceptions=True)
            if isinstance(outcome, BrokerUnavailableError):
                # Also where the script did not get as far as to append: that is not told apart.
                assert outcome.maybe_published
            else:
                assert not isinstance(outcome, BaseException)
                published.append(outcome)
        server.command("ACL", "SETUSER", "rt", f"+{right}")
        published.append(await log.publish(key="last"))
        assert {one.position.epoch for one in published} == {published[0].position.epoch}
        page = await log.page()
        assert offsets(page.publications) == list(range(1, page.top.offset + 1))
        assert {one.position.offset for one in published} <= set(offsets(page.publications))
        assert (await log.publish(key="first")) == (published[0].position, True)
    server.command("ACL", "LOG", "RESET")


async def test_a_wrong_password_is_unavailable_and_not_told(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(f"redis://rt:hunter2@127.0.0.1:{server.port}") as log:
        assert await log.broker.ready() is False
        with pytest.raises(BrokerUnavailableError):
            await log.publish()
    assert "hunter2" not in caplog.text
    [line] = caplog.messages
    assert "cannot connect: WRONGPASS" in line
    server.command("ACL", "LOG", "RESET")


async def test_a_redis_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    late = RedisServer(tmp_path)
    async with running(late.url) as log:
        log.broker.subscribe(ROOM)
        waiting = log.start()
        await asyncio.to_thread(late.start)
        try:
            assert (await waiting).position.offset == 1
            await log.wait_ready()
            await log.page()
            await log.publish()
            await until(lambda: offsets(log.delivered)[-1:] == [2], "the delivery")
        finally:
            late.kill()


async def test_cancelled_requests_do_not_mix_up_answers(server: RedisServer) -> None:
    async with running(server.url) as log:
        for number in range(50):
            await log.publish(f"room:{number}")
        for turn in range(20):
            tasks = [asyncio.ensure_future(log.page(f"room:{number}")) for number in range(50)]
            await asyncio.sleep(0)
            for task in tasks[turn % 3 :: 3]:
                task.cancel()
            for number, result in enumerate(await asyncio.gather(*tasks, return_exceptions=True)):
                if not isinstance(result, BaseException):
                    assert [p.channel for p in result.publications] == [f"room:{number}"]
