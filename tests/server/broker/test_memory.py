"""The log in memory: budgets over all channels, and tops that are never given twice."""

from __future__ import annotations

import pytest

from rtcli.protocol.position import Position
from rtcli_server.auth.revocations import Revocation, RevocationKind
from rtcli_server.broker import InvalidStoreError, Retention, open_broker
from rtcli_server.broker import memory as module
from rtcli_server.broker.idempotency import IdempotencyKeys
from rtcli_server.broker.memory import CHANNEL_BYTES, MemoryBroker
from rtcli_server.broker.opening import now_ms
from rtcli_server.realtime import RealtimeServer
from rtcli_server.settings import Settings


class Clock:
    """Milliseconds that a test moves."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


def publish(broker: MemoryBroker, channel: str, data: bytes = b"{}", *, at: int = 1_000_000) -> Position:
    future = broker.publish(channel, "e", data, time_ms=at)
    assert future.done()
    return future.result().position


async def kept(broker: MemoryBroker, channel: str) -> list[int]:
    return [p.offset for p in (await broker.history(channel, since=None, limit=1000)).publications]


async def test_all_untouched_channels_share_one_epoch_that_is_new_at_each_start() -> None:
    brokers = [MemoryBroker(Retention(), now_ms=Clock()) for _ in range(2)]
    tops = [(await broker.history(name, since=None, limit=1)).top for broker in brokers for name in "ab"]
    assert tops[0] == tops[1] != tops[2] == tops[3]


async def test_the_least_recently_used_channel_gives_way_first() -> None:
    broker = MemoryBroker(Retention(max_total_bytes=3 * CHANNEL_BYTES + 4_000), now_ms=Clock())
    for channel in ("a", "b", "c"):
        publish(broker, channel, b"x" * 1000)
    await broker.history("a", since=None, limit=1)  # reading is using
    publish(broker, "c", b"x" * 1000)
    assert await kept(broker, "b") == []
    assert await kept(broker, "a") == [1]
    assert await kept(broker, "c") == [1, 2]


async def test_space_over_all_channels_is_bounded_however_many_there_are() -> None:
    broker = MemoryBroker(Retention(max_total_bytes=50_000), now_ms=Clock())
    for number in range(1000):
        publish(broker, f"room:{number}", b"x" * (number % 97))
        assert broker._bytes <= 50_000
    assert sum(log.bytes for log in broker._channels.values()) == broker._bytes
    assert len(broker._channels) <= 50_000 // CHANNEL_BYTES


async def test_a_channel_that_lost_its_ring_goes_on_where_it_was() -> None:
    broker = MemoryBroker(Retention(max_total_bytes=CHANNEL_BYTES + 400), now_ms=Clock())
    publish(broker, "a")
    second = publish(broker, "a")
    publish(broker, "b")
    page = await broker.history("a", since=None, limit=10)
    assert page.publications == []
    assert page.top == second
    assert publish(broker, "a") == second._replace(offset=3)


async def test_a_channel_that_is_forgotten_altogether_gets_another_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_TOPS", 2)
    broker = MemoryBroker(Retention(max_total_bytes=CHANNEL_BYTES + 400), now_ms=Clock())
    first = publish(broker, "a")
    for channel in ("b", "c", "d"):
        publish(broker, channel)
    assert len(broker._tops) == 2
    again = publish(broker, "a")
    assert again.offset == 1
    assert again.epoch != first.epoch


async def test_a_publication_larger_than_all_budgets_is_delivered_and_not_kept() -> None:
    broker = MemoryBroker(Retention(max_total_bytes=10_000, max_channel_bytes=5_000), now_ms=Clock())
    assert publish(broker, "a", b"x" * 20_000).offset == 1
    assert await kept(broker, "a") == []
    assert publish(broker, "a").offset == 2


async def test_publications_of_a_quiet_channel_are_freed_by_publishing_elsewhere() -> None:
    broker = MemoryBroker(Retention(max_age_s=10), now_ms=Clock())
    publish(broker, "quiet", b"x" * 1000, at=1_000_000)
    used = broker._bytes
    publish(broker, "busy", b"", at=1_010_001)
    assert broker._bytes < used + CHANNEL_BYTES


async def test_a_clock_that_steps_back_hides_nothing_and_breaks_nothing() -> None:
    clock = Clock()
    broker = MemoryBroker(Retention(max_age_s=10), now_ms=clock)
    for at in (1_000_000, 400_000, 1_000_001):
        publish(broker, "a", at=at)
    clock.ms = 400_000
    assert await kept(broker, "a") == [1, 2, 3]


def test_keys_expire_in_order_and_are_bounded() -> None:
    now = 0.0
    keys = IdempotencyKeys(window_ms=100, limit=3, clock=lambda: now)
    for number in range(5):
        now = number / 1000
        assert keys.find(("a", str(number))) is None
        keys.remember(("a", str(number)), Position("abcd", number))
    assert len(keys) == 3
    assert keys.find(("a", "1")) is None
    now = 0.1015
    assert keys.find(("a", "2")) == Position("abcd", 2)
    now = 0.1025
    assert keys.find(("a", "2")) is None
    assert len(keys) == 2


@pytest.mark.parametrize("url", ["", "memory", "memory:x", "mysql://x", "sqlite", "Memory:"])
def test_an_unknown_store_is_refused_with_the_ways_out(url: str) -> None:
    with pytest.raises(InvalidStoreError, match=r"memory:, sqlite:PATH or redis://"):
        open_broker(url)


@pytest.mark.parametrize("name", Retention.__slots__)
def test_budgets_of_nothing_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Retention(**{name: 0})


def test_a_key_that_is_used_again_counts_from_its_latest_use() -> None:
    now = 0.0
    keys = IdempotencyKeys(window_ms=100, limit=3, clock=lambda: now)
    keys.remember(("a", "k"), Position("abcd", 1), age_ms=300)
    keys.remember(("a", "k"), Position("abcd", 2), age_ms=150)
    keys.remember(("a", "k"), Position("abcd", 3))
    assert keys.find(("a", "k")) == Position("abcd", 3)
    assert len(keys) == 1
    keys.remember_all({("a", "k"): Position("abcd", 4), ("a", "l"): Position("abcd", 5)})
    assert keys.find(("a", "k")) == Position("abcd", 4)
    now = 0.2
    assert keys.find(("a", "k")) is None
    assert len(keys) == 0


def test_an_old_key_behind_a_young_one_is_not_found() -> None:
    keys = IdempotencyKeys(window_ms=100, limit=3, clock=lambda: 0.0)
    keys.remember(("a", "young"), Position("abcd", 1))
    keys.remember(("a", "old"), Position("abcd", 2), age_ms=150)
    assert keys.find(("a", "old")) is None
    assert keys.find(("a", "young")) == Position("abcd", 1)


async def test_a_server_and_its_log_in_memory_have_one_list_of_what_is_revoked() -> None:
    server = RealtimeServer(Settings(secrets=("a secret for tests, longer than 32 bytes",)))
    revocation = Revocation(RevocationKind.TOKEN, "stolen", now_ms() + 60_000)
    server._revoked.add(revocation)
    assert await server.broker.revocations() == [revocation]
    await server.broker.close()
