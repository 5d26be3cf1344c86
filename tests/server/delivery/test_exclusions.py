"""Publications that exclude somebody: their position without content, whatever state a subscription is in."""

from __future__ import annotations

import json

import pytest

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.broker import HistoryPage
from rtcli_server.broker.paging import ReadHistory
from rtcli_server.delivery import flush_queue, writing
from rtcli_server.delivery.channel import State
from rtcli_server.delivery.recovery import RecoveryRequest, begin, catch_up, read_missed
from rtcli_server.delivery.wire import EventBatch, Format
from tests.support.fakes.fanout import EPOCH, FakeSubscriber, Turns, at, join, new_fanout, publication

NOT_ANN = Exclusion(users=frozenset({"ann"}))
NOT_C1 = Exclusion(connections=frozenset({"c-1"}))


def ann(format_: Format = Format.TEXTS) -> FakeSubscriber:
    return FakeSubscriber(format_, user_id="ann", connection_id="c-1")


def seen(subscriber: FakeSubscriber) -> list[tuple[str, int]]:
    """Type and offset of each message."""
    messages = [json.loads(text) for text in subscriber.texts]
    return [(message["type"], message["data"]["offset"]) for message in messages]


def content(*offsets: int) -> list[tuple[str, int]]:
    return [("new_message", offset) for offset in offsets]


SKIPPED_2 = [("new_message", 1), ("skipped", 2), ("new_message", 3)]


@pytest.mark.parametrize("exclude", [NOT_ANN, NOT_C1])
def test_who_is_excluded_gets_the_position_and_all_others_the_same_bytes(exclude: Exclusion) -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    excluded, others = ann(), [FakeSubscriber(user_id=str(number)) for number in range(3)]
    for subscriber in (excluded, *others):
        join(fanout, subscriber, at(0))
    for offset in (1, 2, 3):
        fanout.deliver(publication(offset, exclude=exclude if offset == 2 else None))
    turns.run()
    assert seen(excluded) == SKIPPED_2
    skipped = json.loads(excluded.texts[1])
    assert skipped["data"] == {"room": "a", "offset": 2, "epoch": EPOCH}
    assert skipped["timestamp"] == json.loads(others[0].texts[1])["timestamp"]
    assert [seen(other) for other in others] == [content(1, 2, 3)] * 3
    assert len({id(other.batches[0]) for other in others}) == 1
    fanout.deliver(publication(4))
    turns.run()
    assert excluded.batches[-1] is others[0].batches[-1]  # and from then on as everybody


@pytest.mark.parametrize(("channel", "name"), [("room:a", "a"), ("user:ann", "~me"), ("all", "~all")])
def test_streams_get_the_cursor_without_content(channel: str, name: str) -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    excluded, other = ann(Format.EVENTS), FakeSubscriber(Format.EVENTS)
    subscription = join(fanout, excluded, at(0), channel)
    join(fanout, other, at(0), channel)
    fanout.deliver(publication(1, channel=channel, exclude=NOT_ANN))
    turns.run()
    [batch] = excluded.batches
    assert isinstance(batch, EventBatch)
    data = json.dumps({"room": name, "offset": 1, "epoch": EPOCH}, separators=(",", ":"))
    assert batch.join(b",b=x-1").decode() == f"id: {name}={EPOCH}-1,b=x-1\nevent: skipped\ndata: {data}\n\n"
    assert subscription.position == at(1)
    [whole] = other.batches
    assert isinstance(whole, EventBatch)
    assert b"skipped" not in whole.join(b"")


def test_a_room_that_is_written_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flush_queue, "WRITES_PER_TURN", 4)
    turns = Turns()
    fanout = new_fanout(turns)
    subscribers = [FakeSubscriber(user_id=str(number % 5)) for number in range(20)]
    for subscriber in subscribers:
        join(fanout, subscriber, at(0))
    exclude = Exclusion(frozenset({"0", "3"}))
    for offset in range(1, 7):
        fanout.deliver(publication(offset, exclude=exclude if offset % 2 else None))
        turns.turn()
    turns.run()
    for subscriber in subscribers:
        hidden = {1, 3, 5} if subscriber.user_id in exclude.users else set()
        assert seen(subscriber) == [("skipped" if n in hidden else "new_message", n) for n in range(1, 7)]


def test_one_that_has_just_joined_and_one_that_leaves() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    join(fanout, FakeSubscriber(), at(0))
    fanout.deliver(publication(1))
    fresh = ann()
    join(fanout, fresh, at(1))
    leaving = ann()
    subscription = join(fanout, leaving, at(0))
    fanout.deliver(publication(2, exclude=NOT_ANN))
    fanout.deliver(publication(3))
    fanout.write_pending(subscription)
    fanout.close(subscription)
    turns.run()
    assert seen(fresh) == SKIPPED_2[1:]
    assert seen(leaving) == SKIPPED_2


def history_of(log: list[Publication]) -> ReadHistory:
    async def history(channel: str, *, since: Position | None, limit: int) -> HistoryPage:
        del channel
        found = log if since is None else [one for one in log if one.offset > since.offset]
        return HistoryPage(found[:limit] if since else found[-limit:] if limit else [], log[-1].position)

    return history


LOG = [publication(1), publication(2, exclude=NOT_ANN), publication(3)]


async def test_replays_of_all_kinds() -> None:
    fanout = new_fanout(Turns())
    for since, limit in ((at(0), 10), (None, 10)):
        subscriber = ann()
        subscription = fanout.open("room:a", subscriber)
        request = RecoveryRequest(subscription.channel, since, limit)
        [result] = await read_missed(history_of(LOG), [request])
        assert (result.total, result.failure) == (3, None)
        begin(fanout, subscription, result)
        subscription.channel.release()
        assert seen(subscriber) == SKIPPED_2
        assert subscription.state is State.LIVE


async def test_catching_up_and_what_was_held_meanwhile() -> None:
    fanout = new_fanout(Turns())
    subscriber = ann()
    subscription = fanout.open("room:a", subscriber)
    subscription.replay_from(at(0))
    fanout.deliver(publication(3))
    fanout.deliver(publication(4, exclude=NOT_C1))
    assert await catch_up(fanout, history_of(LOG), subscription)
    subscription.channel.release()
    assert seen(subscriber) == [*SKIPPED_2, ("skipped", 4)]


def test_publications_without_exclusions_are_looked_at_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fan-out of all others costs what it did: nobody compares subscribers with exclusions."""

    def fail(*_: object) -> None:
        raise AssertionError("it looked for excluded subscribers")

    monkeypatch.setattr(flush_queue, "excluded_from", fail)
    monkeypatch.setattr(writing, "_covered", fail)
    turns = Turns()
    fanout = new_fanout(turns)
    subscriber = ann()
    join(fanout, subscriber, at(0))
    fanout.deliver(publication(1))
    turns.run()
    assert seen(subscriber) == content(1)
