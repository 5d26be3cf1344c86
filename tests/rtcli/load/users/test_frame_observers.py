from __future__ import annotations

from rtcli.load.users.frame_observers import FrameMatcher, FrameRecorder, Pattern

TREE = {"type": "ack", "data": {"room": "a", "offset": 7, "ok": True, "list": [{"x": 1.5}]}}


def test_all_that_is_given_must_match() -> None:
    frame = '{"type":"ack","data":{"room":"a"}}'
    assert Pattern(type="ack", where={"data.room": "a"}, contains="room").matches(frame, TREE)
    assert not Pattern(type="nack").matches(frame, TREE)
    assert not Pattern(where={"data.room": "b"}).matches(frame, TREE)
    assert not Pattern(contains="b").matches(frame, TREE)
    assert Pattern().matches("anything", None)
    assert not Pattern(type="ack").matches("no json", None)


def test_a_watcher_counts_and_keeps_the_last() -> None:
    matcher = FrameMatcher(Pattern(type="x"), 2)
    for frame in (b'{"type":"x","n":1}', b"\xff not json", b'{"type":"y"}'):
        matcher.observe(frame)
    assert not matcher.done.is_set()
    matcher.observe('{"type":"x","n":2}')
    assert matcher.done.is_set()
    assert matcher.match == {"type": "x", "n": 2}


def test_what_came_before_can_be_shown_later() -> None:
    recorder, matcher = FrameRecorder(), FrameMatcher(Pattern(contains="b"), 1)
    recorder.observe(b"a")
    recorder.observe("b")
    recorder.replay(matcher)
    assert matcher.done.is_set()
