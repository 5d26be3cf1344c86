"""Fan-out: what members are written, how often, in which order, and what it costs."""

from __future__ import annotations

import json

import pytest
from rtcli_server.delivery.channel import Member, State
from rtcli_server.delivery.fanout import SLICE
from rtcli_server.delivery.wire import EventBatch, Format

from rtcli.protocol.position import Position
from tests.support.fakes.fanout import EPOCH, RecordingSink, Turns, at, join, new_fanout, publication


def offsets(sink: RecordingSink) -> list[int]:
    return [json.loads(text)["data"]["offset"] for text in sink.texts if '"new_message"' in text]


def state_of(member: Member) -> State:
    return member.state


def types(sink: RecordingSink) -> list[str]:
    return [json.loads(text)["type"] for text in sink.texts]


def test_one_turn_is_one_write_per_member() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    sinks = [RecordingSink() for _ in range(3)]
    for sink in sinks:
        join(fanout, sink, at(0))
    for offset in (1, 2, 3):
        fanout.deliver(publication(offset))
    assert turns.run() == 2  # one to collect, one to write
    for sink in sinks:
        assert len(sink.batches) == 1
        assert offsets(sink) == [1, 2, 3]
    # Everyone got the very same object: encoded once.
    assert len({id(sink.batches[0]) for sink in sinks}) == 1


def test_every_format_is_encoded_once() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    by_format = {format_: [RecordingSink(format_) for _ in range(2)] for format_ in Format}
    for sinks in by_format.values():
        for sink in sinks:
            join(fanout, sink, at(0))
    fanout.deliver(publication(1))
    turns.run()
    for sinks in by_format.values():
        assert sinks[0].batches[0] is sinks[1].batches[0]
    assert isinstance(by_format[Format.FRAMES][0].batches[0], bytes)
    assert isinstance(by_format[Format.EVENTS][0].batches[0], EventBatch)


def test_subscribes_with_the_first_member_and_unsubscribes_with_the_last() -> None:
    log: list[str] = []
    fanout = new_fanout(Turns(), log)
    first, second = (join(fanout, RecordingSink(), at(0)) for _ in range(2))
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
    early, late = RecordingSink(), RecordingSink()
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
    early, ahead = RecordingSink(), RecordingSink()
    join(fanout, early, at(0))
    join(fanout, ahead, at(3))  # the log has 3 already, delivery is still at 0
    for offset in (1, 2, 3, 4, 5):
        fanout.deliver(publication(offset))
        turns.run()
    assert offsets(early) == [1, 2, 3, 4, 5]
    assert offsets(ahead) == [4, 5]


def test_what_is_delivered_while_a_history_is_read_is_held() -> None:
    fanout = new_fanout(Turns())
    join(fanout, RecordingSink(), at(0))
    member = fanout.open("room:a", RecordingSink())
    for offset in (1, 2, 3):
        fanout.deliver(publication(offset))
    held = fanout.held_after(member.channel, at(1))
    assert held is not None
    assert [item.offset for item in held] == [2, 3]
    assert fanout.held_after(member.channel, at(3)) == []
    assert fanout.held_after(member.channel, at(9)) == []  # the log is ahead of delivery
    fanout.release(member.channel)
    assert not member.channel.held


def test_what_is_no_longer_held_must_be_read_again() -> None:
    fanout = new_fanout(Turns())
    join(fanout, RecordingSink(), at(0))
    fanout.deliver(publication(1))
    member = fanout.open("room:a", RecordingSink())
    fanout.deliver(publication(2))
    assert fanout.held_after(member.channel, at(0)) is None


def test_notices_go_to_everyone_but_the_excluded_and_keep_the_order() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    sinks = [RecordingSink() for _ in range(3)]
    members = [join(fanout, sink, at(0)) for sink in sinks]
    fanout.deliver(publication(1))
    fanout.announce("room:a", b'{"type":"user_typing"}', exclude=[members[1]])
    fanout.deliver(publication(2))
    turns.run()
    for sink in (sinks[0], sinks[2]):
        assert types(sink) == ["new_message", "user_typing", "new_message"]
    assert types(sinks[1]) == ["new_message", "new_message"]


def test_streams_get_no_ephemeral_events() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    stream = RecordingSink(Format.EVENTS)
    join(fanout, stream, at(0))
    fanout.announce("room:a", b'{"type":"user_typing"}')
    turns.run()
    assert stream.batches == []


def test_a_new_member_is_excluded_too() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    old, new = RecordingSink(), RecordingSink()
    join(fanout, old, at(0))
    fanout.deliver(publication(1))
    member = join(fanout, new, at(1))
    fanout.announce("room:a", b'{"type":"user_joined"}', exclude=[member])
    turns.run()
    assert types(old) == ["new_message", "user_joined"]
    assert types(new) == []


def test_a_large_room_is_written_in_slices_and_in_order() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    sinks = [RecordingSink() for _ in range(SLICE * 4 + 10)]
    for sink in sinks:
        join(fanout, sink, at(0))
    small = RecordingSink()
    join(fanout, small, at(0), channel="room:b")
    fanout.deliver(publication(1))
    turns.turn()  # collect
    turns.turn()
    assert sum(bool(sink.batches) for sink in sinks) == SLICE
    fanout.deliver(publication(2))  # waits, and is joined with the next
    fanout.deliver(publication(3))
    fanout.deliver(publication(1, channel="room:b"))
    turns.turn()
    turns.turn()
    assert offsets(small) == [1]  # a small room does not wait for a large one to end
    assert sinks[-1].batches == []
    turns.run()
    for sink in sinks:
        assert offsets(sink) == [1, 2, 3]
        assert len(sink.batches) == 2


def test_one_who_leaves_within_a_large_flush_gets_nothing_more() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    sinks = [RecordingSink() for _ in range(SLICE + 1)]
    members = [join(fanout, sink, at(0)) for sink in sinks]
    fanout.deliver(publication(1))
    turns.turn()  # collect
    turns.turn()
    fanout.close(members[-1])
    turns.run()
    assert sinks[-1].batches == []


def test_a_write_that_raises_stops_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    sinks = [RecordingSink() for _ in range(3)]
    for sink in sinks:
        join(fanout, sink, at(0))

    def fail() -> None:
        raise RuntimeError("gone")

    sinks[1].on_write = fail
    fanout.deliver(publication(1))
    turns.run()
    assert offsets(sinks[0]) == offsets(sinks[2]) == [1]
    assert "a write failed" in caplog.text


# -- gaps --------------------------------------------------------------------------------------------------


def gaps(sink: RecordingSink) -> list[dict[str, object]]:
    return [json.loads(text)["data"] for text in sink.texts if '"gap"' in text]


def test_a_hole_in_delivery_is_told() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    sink = RecordingSink()
    join(fanout, sink, at(0))
    fanout.deliver(publication(1))
    fanout.deliver(publication(5))
    turns.run()
    assert types(sink) == ["new_message", "gap", "new_message"]
    assert gaps(sink) == [
        {"room": "a", "from": f"{EPOCH}-1", "to": f"{EPOCH}-4", "lost": 3, "reason": "trimmed"}
    ]


def test_lost_publications_are_told_even_if_none_follows() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    sink = RecordingSink()
    join(fanout, sink, at(2))
    fanout.lost("room:a", at(4))
    fanout.lost("room:a", at(4))
    fanout.lost("room:nobody", at(4))
    fanout.deliver(publication(3))  # late: it was said that it would not come
    fanout.deliver(publication(5))
    turns.run()
    assert types(sink) == ["gap", "new_message"]
    assert offsets(sink) == [5]


def test_a_new_epoch_is_a_gap_without_a_count() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    sink = RecordingSink()
    join(fanout, sink, at(7))
    fanout.deliver(publication(1, epoch="eeee"))
    turns.run()
    assert gaps(sink)[0]["lost"] is None
    assert gaps(sink)[0]["reason"] == "epoch_changed"
    assert gaps(sink)[0]["to"] == "eeee-0"
    assert offsets(sink) == [1]


def test_a_join_at_a_new_epoch_tells_the_others() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    old, new = RecordingSink(), RecordingSink()
    join(fanout, old, at(7))
    join(fanout, new, Position("eeee", 2))
    fanout.deliver(publication(3, epoch="eeee"))
    turns.run()
    assert types(old) == ["gap", "new_message"]
    assert types(new) == ["new_message"]


def test_a_fresh_member_that_misses_something_is_told() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    other, sink = RecordingSink(), RecordingSink()
    join(fanout, other, at(5))
    fanout.deliver(publication(6))
    join(fanout, sink, at(4))  # cannot be with a true log; never silent all the same
    turns.run()
    assert types(sink) == ["gap", "new_message"]


# -- slow members ------------------------------------------------------------------------------------------


def test_a_member_that_stalls_keeps_its_position_alone() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    slow, quick = RecordingSink(), RecordingSink()
    member = join(fanout, slow, at(0))
    join(fanout, quick, at(0))

    def stall() -> None:
        slow.full = True
        fanout.stall([member])

    slow.on_write = stall
    for offset in (1, 2, 3):
        fanout.deliver(publication(offset))
        turns.run()
    assert offsets(slow) == [1]
    assert member.state is State.BEHIND
    assert member.position == at(1)
    assert offsets(quick) == [1, 2, 3]


def test_a_member_that_stalls_within_a_large_flush_gets_the_whole_batch() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    slow = RecordingSink()
    member = join(fanout, slow, at(0))
    for _ in range(SLICE + 1):
        join(fanout, RecordingSink(), at(0))
    fanout.deliver(publication(1))
    turns.turn()  # collect
    turns.turn()
    slow.full = True
    fanout.stall([member])
    assert state_of(member) is State.LIVE  # until the batch is through: only then is its position known
    fanout.deliver(publication(2))
    turns.run()
    assert state_of(member) is State.BEHIND
    assert [member.position.offset] == offsets(slow)[-1:]


def test_one_that_drained_at_once_stays_live() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    sink = RecordingSink()
    member = join(fanout, sink, at(0))
    fanout.stall([member])  # not full any more
    assert member.state is State.LIVE


def test_who_leaves_gets_what_was_delivered_before() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    stays, leaves, fresh = RecordingSink(), RecordingSink(), RecordingSink()
    join(fanout, stays, at(0))
    member = join(fanout, leaves, at(0))
    fanout.deliver(publication(1))
    late = join(fanout, fresh, at(1))
    fanout.deliver(publication(2))
    for one in (member, late):
        fanout.finish(one)
        fanout.close(one)
    assert (offsets(leaves), offsets(fresh)) == ([1, 2], [2])
    turns.run()
    assert (offsets(stays), offsets(leaves), offsets(fresh)) == ([1, 2], [1, 2], [2])


def test_who_leaves_in_the_middle_of_a_large_flush_gets_its_part_once() -> None:
    turns = Turns()
    fanout = new_fanout(turns)
    sinks = [RecordingSink() for _ in range(2 * SLICE + 1)]
    members = [join(fanout, sink, at(0)) for sink in sinks]
    fanout.deliver(publication(1))
    while not sinks[0].batches:
        turns.turn()
    assert not sinks[-1].batches
    fanout.deliver(publication(2))
    for member in (members[0], members[-1]):
        fanout.finish(member)
        fanout.close(member)
    turns.run()
    assert all(offsets(sink) == [1, 2] for sink in sinks)
