"""The contract of every broker: one suite for all of them, including refusals and back-pressure."""

from __future__ import annotations

import asyncio
import json

import pytest

from rtcli.protocol.codes import GapReason
from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import Position, parse_position, recovery_failure
from rtcli.protocol.publication import Publication
from rtcli_server.broker import BrokerUnavailableError, Retention
from rtcli_server.broker.opening import now_ms
from tests.support.brokers.running import ROOM, offsets, running
from tests.support.waiting import until

CHANNELS = [ROOM, "user:7", "all", "room:Größe&{x}:*"]


async def test_offsets_rise_by_one_and_each_channel_counts_for_itself(store_url: str) -> None:
    async with running(store_url) as log:
        for channel in CHANNELS:
            for expected in (1, 2, 3):
                published = await log.publish(channel)
                assert published.position.offset == expected
                assert parse_position(str(published.position)) == published.position
                assert published.duplicate is False


async def test_an_untouched_channel_has_a_top_that_its_first_publication_follows(store_url: str) -> None:
    async with running(store_url) as log:
        page = await log.page()
        assert page.publications == []
        assert page.top.offset == 0
        published = await log.publish()
        assert published.position == Position(page.top.epoch, 1)


async def test_history_returns_what_was_published_byte_for_byte(store_url: str) -> None:
    data = '{"content":"é\u202e💥\\u0001\\r\\n\\n\\n","n":1e3}'.encode()
    time_ms = now_ms() - 12_345
    async with running(store_url) as log:
        log.broker.subscribe("user:7")
        await log.page("user:7")
        published = await log.broker.publish("user:7", "build.done", data, time_ms=time_ms)
        [publication] = (await log.page("user:7")).publications
        assert publication.channel == "user:7"
        assert publication.event == "build.done"
        assert publication.data == data
        assert publication.time_ms == time_ms
        assert (publication.epoch, publication.offset) == published.position
        await log.wait_delivered(1)
        assert log.delivered == [publication]


EXCLUSIONS = [
    Exclusion(frozenset({"7", "Ü\n\u2028"})),
    Exclusion(connections=frozenset({"c-1", "c-2"})),
    None,
]


async def test_exclusions_are_kept_and_delivered_with_the_publication(store_url: str) -> None:
    async with running(store_url) as log:
        for channel in CHANNELS:
            log.broker.subscribe(channel)
            await log.page(channel)
            for exclude in EXCLUSIONS:
                await log.start(channel, exclude=exclude)
        await log.wait_delivered(len(CHANNELS) * len(EXCLUSIONS))
        for channel in CHANNELS:
            page = (await log.page(channel)).publications
            assert [publication.exclude for publication in page] == EXCLUSIONS
            assert [p for p in log.delivered if p.channel == channel] == page


async def test_exclusions_count_for_the_space_of_a_channel(store_url: str) -> None:
    many = Exclusion(frozenset(f"{number:0>100}" for number in range(100)))
    async with running(store_url, Retention(max_channel_bytes=100_000)) as log:
        for _ in range(60):
            await log.start(exclude=many)
        page = await log.page()
        assert len(page.publications) < 30
        assert page.publications[-1].position == page.top
        assert all(publication.exclude == many for publication in page.publications)


async def test_delivery_is_in_order_once_and_only_of_subscribed_channels(store_url: str) -> None:
    async with running(store_url) as log:
        for channel in CHANNELS:
            await log.publish(channel)
        for channel in CHANNELS[:2]:
            log.broker.subscribe(channel)
            log.broker.subscribe(channel)
            await log.page(channel)
        for _ in range(50):
            for channel in CHANNELS:
                log.start(channel)
        await log.wait_delivered(100)
        for channel in CHANNELS[:2]:
            assert offsets([p for p in log.delivered if p.channel == channel]) == list(range(2, 52))
        assert len(log.delivered) == 100


async def test_nothing_is_delivered_after_unsubscribe(store_url: str) -> None:
    async with running(store_url) as log:
        log.broker.subscribe(ROOM)
        log.broker.subscribe("all")
        await log.page()
        await log.page("all")
        await log.publish()
        await log.wait_delivered(1)
        log.broker.unsubscribe(ROOM)
        log.broker.unsubscribe(ROOM)
        await log.publish()
        await log.publish("all")
        await log.wait_delivered(2)
        assert [p.channel for p in log.delivered] == [ROOM, "all"]


async def test_subscribing_again_delivers_again(store_url: str) -> None:
    async with running(store_url) as log:
        for _ in range(20):
            log.broker.subscribe(ROOM)
            top = (await log.page()).top
            log.delivered.clear()
            published = await log.publish()
            await log.wait_delivered(1)
            assert offsets(log.delivered) == [published.position.offset] == [top.offset + 1]
            log.broker.unsubscribe(ROOM)
            await log.publish()


@pytest.mark.timeout(600)
async def test_everything_after_the_top_of_a_subscribed_channel_is_delivered(
    store_url: str, soak: bool
) -> None:
    """The race of a join: subscribe, read history, go live, while others publish."""
    async with running(store_url) as log:
        for turn in range(10_000 if soak else 100):
            channel = f"room:{turn}"
            futures = [log.start(channel) for _ in range(3)]
            log.broker.subscribe(channel)
            reading = asyncio.ensure_future(log.page(channel))
            for _ in range(turn % 7):
                await asyncio.sleep(0)
            futures += [log.start(channel) for _ in range(3)]
            page = await reading
            futures += [log.start(channel) for _ in range(3)]
            await asyncio.gather(*futures)
            expected = set(range(page.top.offset + 1, 10))

            def arrived(channel: str = channel, expected: set[int] = expected) -> bool:
                return expected <= {p.offset for p in log.delivered if p.channel == channel}

            await until(arrived, f"live after the top of {channel}")
            seen = offsets([p for p in log.delivered if p.channel == channel])
            assert seen == sorted(set(seen))
            assert offsets(page.publications) == list(range(1, page.top.offset + 1))
            log.broker.unsubscribe(channel)
            log.delivered.clear()


async def test_a_thousand_concurrent_publishes_take_a_thousand_places_in_order(store_url: str) -> None:
    async with running(store_url) as log:
        log.broker.subscribe(ROOM)
        await log.page()
        published = await asyncio.gather(*[log.start() for _ in range(1000)])
        assert [p.position.offset for p in published] == list(range(1, 1001))
        await log.wait_delivered(1000)
        assert offsets(log.delivered) == list(range(1, 1001))
        numbers = [int(json.loads(p.data)["content"]) for p in log.delivered]
        assert numbers == list(range(1, 1001))
        assert len({p.epoch for p in log.delivered}) == 1


async def test_what_is_acknowledged_is_in_the_log(store_url: str) -> None:
    async with running(store_url) as log:
        for _ in range(100):
            published = await log.publish()
            page = await log.page(since=None, limit=1)
            assert page.top == published.position
            assert offsets(page.publications) == [published.position.offset]


async def test_history_without_a_position_gives_the_last_ones(store_url: str) -> None:
    async with running(store_url) as log:
        for _ in range(10):
            await log.publish()
        for limit, expected in (
            (0, []),
            (3, [8, 9, 10]),
            (10, list(range(1, 11))),
            (500, list(range(1, 11))),
        ):
            page = await log.page(limit=limit)
            assert offsets(page.publications) == expected
            assert page.top.offset == 10


async def test_history_after_a_position_gives_pages_that_join(store_url: str) -> None:
    async with running(store_url) as log:
        top = (await asyncio.gather(*[log.start() for _ in range(25)]))[-1].position
        since = Position(top.epoch, 0)
        seen: list[int] = []
        while since != top:
            page = await log.page(since=since, limit=10)
            assert page.top == top
            assert len(page.publications) <= 10
            seen += offsets(page.publications)
            since = since._replace(offset=seen[-1])
        assert seen == list(range(1, 26))
        assert (await log.page(since=top, limit=10)).publications == []
        assert (await log.page(since=Position(top.epoch, 3), limit=0)).publications == []


async def test_positions_of_another_epoch_or_of_the_future_read_nothing(store_url: str) -> None:
    async with running(store_url) as log:
        top = (await log.publish()).position
        for since, reason in (
            (Position("zzzzzzzz", 0), GapReason.EPOCH_CHANGED),
            (Position(top.epoch, 2), GapReason.FUTURE),
            (Position(top.epoch, 2**63 - 1), GapReason.FUTURE),
        ):
            page = await log.page(since=since)
            assert page.publications == []
            assert page.top == top
            assert recovery_failure(since, page.top, [], max_replay=300) is reason


async def test_a_trimmed_position_reads_what_is_left_with_the_hole_visible(store_url: str) -> None:
    async with running(store_url, Retention(max_count=5)) as log:
        top = (await asyncio.gather(*[log.start() for _ in range(12)]))[-1].position
        page = await log.page(since=Position(top.epoch, 3))
        assert offsets(page.publications) == [8, 9, 10, 11, 12]
        assert (
            recovery_failure(Position(top.epoch, 3), top, offsets(page.publications), max_replay=300)
            is GapReason.TRIMMED
        )
        page = await log.page(since=Position(top.epoch, 7))
        assert offsets(page.publications) == [8, 9, 10, 11, 12]
        assert (
            recovery_failure(Position(top.epoch, 7), top, offsets(page.publications), max_replay=300) is None
        )


async def test_publishing_during_a_long_read_gives_whole_snapshots(store_url: str) -> None:
    async with running(store_url, Retention(max_count=50)) as log:
        await asyncio.gather(*[log.start() for _ in range(60)])
        writes = [asyncio.ensure_future(log.publish()) for _ in range(200)]
        reads = []
        for _ in range(50):
            reads.append(asyncio.ensure_future(log.page(limit=20)))
            await asyncio.sleep(0)
        for page in await asyncio.gather(*reads):
            assert offsets(page.publications) == list(range(page.top.offset - 19, page.top.offset + 1))
        await asyncio.gather(*writes)


async def test_trimming_while_paging_shows_as_a_hole(store_url: str) -> None:
    async with running(store_url, Retention(max_count=10)) as log:
        await asyncio.gather(*[log.start() for _ in range(10)])
        first = await log.page(since=None, limit=10)
        since = Position(first.top.epoch, 2)
        await asyncio.gather(*[log.start() for _ in range(10)])
        page = await log.page(since=since, limit=5)
        assert page.publications[0].offset == 11
        assert recovery_failure(since, page.top, list(range(11, 21)), max_replay=300) is GapReason.TRIMMED


# Retention


async def test_age_hides_publications_and_keeps_the_top(store_url: str) -> None:
    async with running(store_url, Retention(max_age_s=60)) as log:
        for _ in range(3):
            await log.publish(age_ms=120_000)
        page = await log.page()
        assert page.publications == []
        assert page.top.offset == 3
        assert (await log.publish()).position == Position(page.top.epoch, 4)
        assert offsets((await log.page()).publications) == [4]
        assert offsets((await log.page(since=Position(page.top.epoch, 0))).publications) == [4]


async def test_a_wall_clock_that_is_set_tears_no_hole_and_forgets_no_key(store_url: str) -> None:
    """If ages do not fall with the offsets, everything after the first young publication is kept."""
    async with running(store_url, Retention(max_age_s=60)) as log:
        first = await log.publish(key="k", age_ms=-3_600_000)  # from a clock that was an hour ahead
        for age_ms in (0, 120_000, 0, 120_000):
            await log.publish(age_ms=age_ms)
        assert offsets((await log.page()).publications) == [1, 2, 3, 4, 5]
        assert offsets((await log.page(limit=2)).publications) == [4, 5]
        page = await log.page(since=Position(first.position.epoch, 2))
        # A store may have dropped the third: then the page begins at 4, and its reader sees the gap.
        assert offsets(page.publications) in ([3, 4, 5], [4, 5])
        for age_ms in (-7_200_000, 0, 3_600_000):
            again = await log.publish(key="k", age_ms=age_ms)
            assert (again.position, again.duplicate) == (first.position, True)


async def test_bytes_of_a_channel_are_bounded(store_url: str) -> None:
    async with running(store_url, Retention(max_channel_bytes=50_000, max_count=10_000)) as log:
        await asyncio.gather(*[log.start(padding=1000) for _ in range(200)])
        page = await log.page(limit=500)
        kept = offsets(page.publications)
        assert kept == list(range(201 - len(kept), 201))
        assert len(kept) >= 20
        assert sum(len(p.data) for p in page.publications) <= 50_000


async def test_idempotency_keys_publish_once_and_answer_with_the_first_position(store_url: str) -> None:
    async with running(store_url) as log:
        log.broker.subscribe(ROOM)
        await log.page()
        first = await log.publish(key="7:c-1")
        await log.publish(key="7:c-2")
        again = await log.publish(key="7:c-1")
        assert again.position == first.position
        assert (first.duplicate, again.duplicate) == (False, True)
        other = await log.publish("all", key="7:c-1")
        assert other.duplicate is False
        last = await log.publish(key="8:c-1")
        assert last.position.offset == 3
        await log.wait_delivered(3)
        assert offsets(log.delivered) == [1, 2, 3]


async def test_concurrent_repeats_of_one_key_publish_once(store_url: str) -> None:
    async with running(store_url) as log:
        published = await asyncio.gather(*[log.start(key=f"7:{n % 10}") for n in range(200)])
        assert sum(not p.duplicate for p in published) == 10
        assert (await log.page()).top.offset == 10
        for number in range(10):
            assert len({published[n].position for n in range(number, 200, 10)}) == 1


async def test_keys_outlive_the_publication_that_they_belong_to(store_url: str) -> None:
    async with running(store_url, Retention(max_count=2)) as log:
        first = await log.publish(key="k")
        for _ in range(5):
            await log.publish()
        again = await log.publish(key="k")
        assert (again.position, again.duplicate) == (first.position, True)


async def test_a_key_is_forgotten_in_the_end(store_url: str) -> None:
    async with running(store_url, Retention(idempotency_s=0.2)) as log:
        assert not (await log.publish(key="k")).duplicate

        async def fresh() -> bool:
            return not (await log.publish(key="k")).duplicate

        for _ in range(1000):
            await asyncio.sleep(0.02)
            if await fresh():
                return
        pytest.fail("the key stayed for ever")


# Refusals and closing


async def test_a_cancelled_future_does_not_disturb_the_log(store_url: str) -> None:
    async with running(store_url) as log:
        log.broker.subscribe(ROOM)
        await log.page()
        for number in range(100):
            future = log.start()
            if number % 3 == 0:
                future.cancel()
        published = await log.publish()
        assert published.position.offset == 101
        await log.wait_delivered(101)
        assert offsets(log.delivered) == list(range(1, 102))


async def test_a_receiver_that_raises_does_not_stop_delivery(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def deliver(publication: Publication) -> None:
        seen.append(publication.offset)
        if len(seen) == 1:
            raise RuntimeError("from the test")

    async with running(store_url, deliver=deliver) as log:
        log.broker.subscribe(ROOM)
        await log.page()
        await log.publish()
        await log.publish()
        await until(lambda: seen == [1, 2], "the second delivery")
    assert "from the test" in caplog.text


async def test_a_closed_log_refuses(store_url: str) -> None:
    async with running(store_url) as log:
        await log.wait_ready()
        pending = [log.start() for _ in range(10)]
        await log.broker.close()
        assert [(await future).position.offset for future in pending] == list(range(1, 11))
        with pytest.raises(BrokerUnavailableError, match="closed") as refused:
            await log.publish()
        assert not refused.value.maybe_published
        assert await log.broker.ready() is False
        await log.broker.close()
