"""Fan-out: what subscribers are written, how often, in which order, and what it costs."""

from __future__ import annotations

import json
from typing import NoReturn

import pytest

from rtcli.protocol.position import Position
from rtcli_server.delivery import flush_queue
from rtcli_server.delivery.channel import State, Subscription
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.delivery.flush_queue import WRITES_PER_TURN
from rtcli_server.delivery.wire import EventBatch, Format
from tests.support.fakes.fanout import EPOCH, FakeSubscriber, Turns, at, join, new_fanout, publication


def offsets(subscriber: FakeSubscriber) -> list[int]:
    return [json.loads(text)["data"]["offset"] for text in subscriber.texts if '"new_message"' in text]


def state_of(subscription: Subscription) -> State:
    return subscription.state


def types(subscriber: FakeSubscriber) -> list[str]:
    return [json.loads(text)["type"] for text in subscriber.texts]


def test_one_turn_is_one_write_per_member() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    subscribers = [FakeSubscriber() for _ in range(3)]
    for subscriber in subscribers:
        join(fanout, subscriber, at(0))
    for offset in (1, 2, 3):
        fanout.deliver(publication(offset))
    assert turns.run() == 2  # one to collect, one to write
    for subscriber in subscribers:
        assert len(subscriber.batches) == 1
        assert offsets(subscriber) == [1, 2, 3]
    # Everyone got the very same object: encoded once.
    assert len({id(subscriber.batches[0]) for subscriber in subscribers}) == 1


def test_every_format_is_encoded_once() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    by_format = {format_: [FakeSubscriber(format_) for _ in range(2)] for format_ in Format}
    for subscribers in by_format.values():
        for subscriber in subscribers:
            join(fanout, subscriber, at(0))
    fanout.deliver(publication(1))
    turns.run()
    for subscribers in by_format.values():
        assert subscribers[0].batches[0] is subscribers[1].batches[0]
    assert isinstance(by_format[Format.FRAMES][0].batches[0], bytes)
    assert isinstance(by_format[Format.EVENTS][0].batches[0], EventBatch)


def test_subscribes_with_the_first_member_and_unsubscribes_with_the_last() -> None:
    log: list[str] = []
    fanout = new_fanout(Turns(), log)
    first, second = (join(fanout, FakeSubscriber(), at(0)) for _ in range(2))
    assert log == ["+room:a"]
    fanout.close(first)
    fanout.close(first)  # twice is once
    assert log == ["+room:a"]
    fanout.close(second)
    assert log == ["+room:a", "-room:a"]
    fanout.deliver(publication(1))  # nobody is here: nothing happens


def test_a_member_never_sees_what_its_join_covered() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    early, late = FakeSubscriber(), FakeSubscriber()
    join(fanout, early, at(0))
    fanout.deliver(publication(1))
    fanout.deliver(publication(2))
    join(fanout, late, at(2))  # it has read 1 and 2 from the log; they are still pending for the other
    fanout.deliver(publication(3))
    turns.run()
    assert offsets(early) == [1, 2, 3]
    assert offsets(late) == [3]


def test_a_join_that_is_ahead_of_delivery_waits_for_its_place() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    early, ahead = FakeSubscriber(), FakeSubscriber()
    join(fanout, early, at(0))
    join(fanout, ahead, at(3))  # the log has 3 already, delivery is still at 0
    for offset in (1, 2, 3, 4, 5):
        fanout.deliver(publication(offset))
        turns.run()
    assert offsets(early) == [1, 2, 3, 4, 5]
    assert offsets(ahead) == [4, 5]


def test_what_is_delivered_while_a_history_is_read_is_held() -> None:
    fanout = new_fanout(Turns())
    join(fanout, FakeSubscriber(), at(0))
    subscription = fanout.open("room:a", FakeSubscriber())
    for offset in (1, 2, 3):
        fanout.deliver(publication(offset))
    held = subscription.channel.held_after(at(1))
    assert held is not None
    assert [item.offset for item in held] == [2, 3]
    assert subscription.channel.held_after(at(3)) == []
    assert subscription.channel.held_after(at(9)) == []  # the log is ahead of delivery
    subscription.channel.release()
    assert not subscription.channel.held


def test_what_is_no_longer_held_must_be_read_again() -> None:
    fanout = new_fanout(Turns())
    join(fanout, FakeSubscriber(), at(0))
    fanout.deliver(publication(1))
    subscription = fanout.open("room:a", FakeSubscriber())
    fanout.deliver(publication(2))
    assert subscription.channel.held_after(at(0)) is None


def test_notices_go_to_everyone_but_the_excluded_and_keep_the_order() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    subscribers = [FakeSubscriber() for _ in range(3)]
    subscriptions = [join(fanout, subscriber, at(0)) for subscriber in subscribers]
    fanout.deliver(publication(1))
    fanout.announce("room:a", b'{"type":"user_typing"}', exclude=[subscriptions[1]])
    fanout.deliver(publication(2))
    turns.run()
    for subscriber in (subscribers[0], subscribers[2]):
        assert types(subscriber) == ["new_message", "user_typing", "new_message"]
    assert types(subscribers[1]) == ["new_message", "new_message"]


def test_streams_get_no_ephemeral_events() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    stream = FakeSubscriber(Format.EVENTS)
    join(fanout, stream, at(0))
    fanout.announce("room:a", b'{"type":"user_typing"}')
    turns.run()
    assert stream.batches == []


def test_a_new_member_is_excluded_too() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    old, new = FakeSubscriber(), FakeSubscriber()
    join(fanout, old, at(0))
    fanout.deliver(publication(1))
    subscription = join(fanout, new, at(1))
    fanout.announce("room:a", b'{"type":"user_joined"}', exclude=[subscription])
    turns.run()
    assert types(old) == ["new_message", "user_joined"]
    assert types(new) == []


def test_a_large_room_is_written_in_slices_and_in_order() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    subscribers = [FakeSubscriber() for _ in range(WRITES_PER_TURN * 4 + 10)]
    for subscriber in subscribers:
        join(fanout, subscriber, at(0))
    small = FakeSubscriber()
    join(fanout, small, at(0), channel="room:b")
    fanout.deliver(publication(1))
    turns.turn()  # collect
    turns.turn()
    assert sum(bool(subscriber.batches) for subscriber in subscribers) == WRITES_PER_TURN
    fanout.deliver(publication(2))  # waits, and is joined with the next
    fanout.deliver(publication(3))
    fanout.deliver(publication(1, channel="room:b"))
    turns.turn()
    turns.turn()
    assert offsets(small) == [1]  # a small room does not wait for a large one to end
    assert subscribers[-1].batches == []
    turns.run()
    for subscriber in subscribers:
        assert offsets(subscriber) == [1, 2, 3]
        assert len(subscriber.batches) == 2


def test_one_who_leaves_within_a_large_flush_gets_nothing_more() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    subscribers = [FakeSubscriber() for _ in range(WRITES_PER_TURN + 1)]
    subscriptions = [join(fanout, subscriber, at(0)) for subscriber in subscribers]
    fanout.deliver(publication(1))
    turns.turn()  # collect
    turns.turn()
    fanout.close(subscriptions[-1])
    turns.run()
    assert subscribers[-1].batches == []


def test_a_write_that_raises_stops_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    subscribers = [FakeSubscriber() for _ in range(3)]
    for subscriber in subscribers:
        join(fanout, subscriber, at(0))

    subscribers[1].on_write = fail
    fanout.deliver(publication(1))
    turns.run()
    assert offsets(subscribers[0]) == offsets(subscribers[2]) == [1]
    assert "a write failed" in caplog.text
    assert [subscriber.is_cut for subscriber in subscribers] == [False, True, False]


def fail(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("of all things")


def test_a_write_that_raises_within_a_slice_stops_nobody_else() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    subscribers = [FakeSubscriber() for _ in range(WRITES_PER_TURN + 10)]
    for subscriber in subscribers:
        join(fanout, subscriber, at(0))
    bad = {3, WRITES_PER_TURN - 1, WRITES_PER_TURN + 5}
    for number in bad:
        subscribers[number].on_write = fail
    fanout.deliver(publication(1))
    turns.run()
    assert {number for number, subscriber in enumerate(subscribers) if subscriber.is_cut} == bad
    assert all(offsets(subscriber) == [1] for subscriber in subscribers)


def test_one_that_cannot_go_live_is_cut_and_the_others_go_live(caplog: pytest.LogCaptureFixture) -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    join(fanout, FakeSubscriber(), at(0))
    fanout.deliver(publication(1))  # so that those who join now are FRESH
    subscribers = [FakeSubscriber() for _ in range(3)]
    subscriptions = [join(fanout, subscriber, at(1)) for subscriber in subscribers]
    subscribers[1].batch_writer = fail  # type: ignore[method-assign] # what a broken transport does
    turns.run()
    assert [state_of(one) for one in subscriptions] == [State.LIVE, State.FRESH, State.LIVE]
    assert [subscriber.is_cut for subscriber in subscribers] == [False, True, False]
    assert "of all things" in caplog.text
    fanout.close(subscriptions[1])  # as when its connection is gone
    fanout.deliver(publication(2))
    turns.run()
    assert offsets(subscribers[0]) == offsets(subscribers[2]) == [2]


def test_a_write_to_one_that_leaves_may_raise(caplog: pytest.LogCaptureFixture) -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    subscribers = [FakeSubscriber() for _ in range(WRITES_PER_TURN + 1)]
    subscriptions = [join(fanout, subscriber, at(0)) for subscriber in subscribers]
    subscribers[-1].on_write = fail
    fanout.deliver(publication(1))
    turns.turn()
    turns.turn()  # a flush is under way
    fanout.write_pending(subscriptions[-1])
    fanout.close(subscriptions[-1])
    assert subscribers[-1].is_cut
    assert "of all things" in caplog.text


def test_whatever_fails_in_a_flush_the_next_one_comes(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    here, elsewhere = FakeSubscriber(), FakeSubscriber()
    join(fanout, here, at(0))
    join(fanout, elsewhere, at(0, "zzzz9999"), channel="room:b")
    with monkeypatch.context() as broken:
        broken.setattr(flush_queue, "JOIN", (fail, fail, fail))
        fanout.deliver(publication(1))
        turns.run()
    assert here.is_cut
    assert not elsewhere.is_cut
    assert "the subscribers of room:a are cut" in caplog.text
    fanout.deliver(publication(2))
    fanout.deliver(publication(1, channel="room:b", epoch="zzzz9999"))
    turns.run()
    assert offsets(here) == [2]
    assert offsets(elsewhere) == [1]


def test_a_count_that_raises_costs_no_delivery(caplog: pytest.LogCaptureFixture) -> None:
    turns = Turns()
    fanout = Fanout(
        subscribe=lambda _: None,
        unsubscribe=lambda _: None,
        call_soon=turns.call_soon,
        timestamp=lambda: "",
        on_flush=fail,
    )
    subscriber = FakeSubscriber()
    join(fanout, subscriber, at(0))
    for offset in (1, 2):
        fanout.deliver(publication(offset))
        turns.run()
    assert offsets(subscriber) == [1, 2]
    assert not subscriber.is_cut
    assert "counting a flush failed" in caplog.text


def test_one_that_says_wrongly_that_it_is_full_stops_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeSubscriber):
        @property
        def full(self) -> bool:
            fail()

        @full.setter
        def full(self, value: bool) -> None: ...

    turns = Turns()
    fanout = new_fanout(turns)
    good, broken = FakeSubscriber(), Broken()
    join(fanout, good, at(0))
    subscription = join(fanout, broken, at(0))
    good.on_write = lambda: fanout.stall([subscription])
    for offset in (1, 2):
        fanout.deliver(publication(offset))
        turns.run()
    assert offsets(good) == [1, 2]
    assert broken.is_cut
    assert "of all things" in caplog.text


# -- gaps --------------------------------------------------------------------------------------------------


def gaps(subscriber: FakeSubscriber) -> list[dict[str, object]]:
    return [json.loads(text)["data"] for text in subscriber.texts if '"gap"' in text]


def test_a_hole_in_delivery_is_told() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    subscriber = FakeSubscriber()
    join(fanout, subscriber, at(0))
    fanout.deliver(publication(1))
    fanout.deliver(publication(5))
    turns.run()
    assert types(subscriber) == ["new_message", "gap", "new_message"]
    assert gaps(subscriber) == [
        {"room": "a", "from": f"{EPOCH}-1", "to": f"{EPOCH}-4", "lost": 3, "reason": "trimmed"}
    ]


def test_lost_publications_are_told_even_if_none_follows() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    subscriber = FakeSubscriber()
    join(fanout, subscriber, at(2))
    fanout.lost("room:a", at(4))
    fanout.lost("room:a", at(4))
    fanout.lost("room:nobody", at(4))
    fanout.deliver(publication(3))  # late: it was said that it would not come
    fanout.deliver(publication(5))
    turns.run()
    assert types(subscriber) == ["gap", "new_message"]
    assert offsets(subscriber) == [5]


def test_a_new_epoch_is_a_gap_without_a_count() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    subscriber = FakeSubscriber()
    join(fanout, subscriber, at(7))
    fanout.deliver(publication(1, epoch="eeee"))
    turns.run()
    assert gaps(subscriber)[0]["lost"] is None
    assert gaps(subscriber)[0]["reason"] == "epoch_changed"
    assert gaps(subscriber)[0]["to"] == "eeee-0"
    assert offsets(subscriber) == [1]


def test_a_join_at_a_new_epoch_tells_the_others() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    old, new = FakeSubscriber(), FakeSubscriber()
    join(fanout, old, at(7))
    join(fanout, new, Position("eeee", 2))
    fanout.deliver(publication(3, epoch="eeee"))
    turns.run()
    assert types(old) == ["gap", "new_message"]
    assert types(new) == ["new_message"]


def test_a_fresh_member_that_misses_something_is_told() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    other, subscriber = FakeSubscriber(), FakeSubscriber()
    join(fanout, other, at(5))
    fanout.deliver(publication(6))
    join(fanout, subscriber, at(4))  # cannot be with a true log; never silent all the same
    turns.run()
    assert types(subscriber) == ["gap", "new_message"]


# -- slow subscribers ------------------------------------------------------------------------------------


def test_a_member_that_stalls_keeps_its_position_alone() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    slow, quick = FakeSubscriber(), FakeSubscriber()
    subscription = join(fanout, slow, at(0))
    join(fanout, quick, at(0))

    def stall() -> None:
        slow.full = True
        fanout.stall([subscription])

    slow.on_write = stall
    for offset in (1, 2, 3):
        fanout.deliver(publication(offset))
        turns.run()
    assert offsets(slow) == [1]
    assert subscription.state is State.LAGGING
    assert subscription.position == at(1)
    assert offsets(quick) == [1, 2, 3]


def test_a_member_that_stalls_within_a_large_flush_gets_the_whole_batch() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    slow = FakeSubscriber()
    subscription = join(fanout, slow, at(0))
    for _ in range(WRITES_PER_TURN + 1):
        join(fanout, FakeSubscriber(), at(0))
    fanout.deliver(publication(1))
    turns.turn()  # collect
    turns.turn()
    slow.full = True
    fanout.stall([subscription])
    assert state_of(subscription) is State.LIVE  # until the batch is through: only then is its position known
    fanout.deliver(publication(2))
    turns.run()
    assert state_of(subscription) is State.LAGGING
    assert [subscription.position.offset] == offsets(slow)[-1:]


def test_one_that_drained_at_once_stays_live() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    subscriber = FakeSubscriber()
    subscription = join(fanout, subscriber, at(0))
    fanout.stall([subscription])  # not full any more
    assert subscription.state is State.LIVE


def test_who_leaves_gets_what_was_delivered_before() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    stays, leaves, fresh = FakeSubscriber(), FakeSubscriber(), FakeSubscriber()
    join(fanout, stays, at(0))
    subscription = join(fanout, leaves, at(0))
    fanout.deliver(publication(1))
    late = join(fanout, fresh, at(1))
    fanout.deliver(publication(2))
    for one in (subscription, late):
        fanout.write_pending(one)
        fanout.close(one)
    assert (offsets(leaves), offsets(fresh)) == ([1, 2], [2])
    turns.run()
    assert (offsets(stays), offsets(leaves), offsets(fresh)) == ([1, 2], [1, 2], [2])


def test_who_leaves_in_the_middle_of_a_large_flush_gets_its_part_once() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    subscribers = [FakeSubscriber() for _ in range(2 * WRITES_PER_TURN + 1)]
    subscriptions = [join(fanout, subscriber, at(0)) for subscriber in subscribers]
    fanout.deliver(publication(1))
    while not subscribers[0].batches:
        turns.turn()
    assert not subscribers[-1].batches
    fanout.deliver(publication(2))
    for subscription in (subscriptions[0], subscriptions[-1]):
        fanout.write_pending(subscription)
        fanout.close(subscription)
    turns.run()
    assert all(offsets(subscriber) == [1, 2] for subscriber in subscribers)
