from __future__ import annotations

import pytest

from rtcli.apps.tail.cursor import DuplicateFilter, GapRecord, reached, read_gap, read_ready
from rtcli.apps.tail.render import ReceivedEvent
from rtcli.protocol.position import Position
from rtcli.protocol.sse import ServerSentEvent


def event(data: str = "{}", *, kind: str = "message", identifier: str = "") -> ServerSentEvent:
    return ServerSentEvent(kind, data, identifier)


def gap(
    channel: str, start: str | None, end: str, lost: int | None, reason: str, *, is_room: bool = True
) -> GapRecord:
    return GapRecord(channel, is_room, start, end, lost, reason)


READY = (
    '{"cursor":"a=aaaa-3,~me=bbbb-0","channels":{"a":{"position":"aaaa-5","recovered":true},'
    '"b%20":{"position":"cccc-9","recovered":false,"reason":"trimmed"},'
    '"~me":{"position":"bbbb-0","recovered":false,"reason":"epoch_changed"}},"recovered":false}'
)


def test_ready_says_what_follows_and_what_does_not() -> None:
    seen = ReceivedEvent(event(READY, kind="ready", identifier="a=aaaa-3,~me=bbbb-0"), 0.0)
    ready = read_ready(seen, "a=aaaa-3,~me=zzzz-4")
    assert ready.tops["room:a"] == Position("aaaa", 5)
    assert ready.replayed == 2
    assert ready.gaps == [
        gap("b ", None, "cccc-9", None, "trimmed"),
        gap("your events", "zzzz-4", "bbbb-0", None, "epoch_changed", is_room=False),
    ]


def test_the_number_lost_is_known_within_one_log() -> None:
    data = '{"channels":{"a":{"position":"aaaa-500","recovered":false,"reason":"too_many"}}}'
    ready = read_ready(ReceivedEvent(event(data, kind="ready", identifier="a=aaaa-500"), 0.0), "a=aaaa-100")
    assert ready.gaps == [gap("a", "aaaa-100", "aaaa-500", 400, "too_many")]
    assert str(ready.gaps[0]) == "gap in #a: 400 events will not come (too_many)"


@pytest.mark.parametrize(
    "data", ["", "[]", "{}", '{"channels":7}', '{"channels":{"a":{"position":"x"}}}', '{"channels":{"a":1}}']
)
def test_a_ready_of_another_kind_says_nothing(data: str) -> None:
    ready = read_ready(ReceivedEvent(event(data, kind="ready"), 0.0), "")
    assert (ready.tops, ready.replayed, ready.gaps) == ({}, 0, [])


@pytest.mark.parametrize(
    ("cursor", "all_shown"),
    [
        ("a=aaaa-5,b=bbbb-1", True),
        ("a=aaaa-6,b=bbbb-1", True),
        ("a=aaaa-4,b=bbbb-1", False),
        ("a=aaaa-5", False),
        ("", False),
        ("rubbish", False),
        ("a=cccc-1,b=bbbb-1", True),
    ],
)
def test_whether_everything_was_shown(cursor: str, all_shown: bool) -> None:
    tops = {"room:a": Position("aaaa", 5), "room:b": Position("bbbb", 1)}
    assert reached(cursor, tops) is all_shown


def test_what_the_server_repeats_is_told_by_the_cursor() -> None:
    duplicates = DuplicateFilter()
    cursors = [
        "a=aaaa-1,b=bbbb-1",
        "a=aaaa-2,b=bbbb-1",
        "a=aaaa-2,b=bbbb-1",
        "a=aaaa-1,b=bbbb-1",
        "a=aaaa-2,b=bbbb-2",
    ]
    assert [duplicates.is_new(cursor) for cursor in cursors] == [True, True, False, False, True]
    assert duplicates.is_new("a=cccc-1,b=bbbb-2"), "a new log starts from its beginning"
    assert duplicates.is_new("no cursor"), "what is not understood is shown"


def test_a_gap_event() -> None:
    data = '{"room":"a","from":"aaaa-1","to":"aaaa-4","lost":3,"reason":"trimmed"}'
    found = read_gap(ReceivedEvent(event(data, kind="gap"), 0.0))
    assert found == gap("a", "aaaa-1", "aaaa-4", 3, "trimmed")
    facts = {"room": "a", "from": "aaaa-1", "to": "aaaa-4", "lost": 3, "reason": "trimmed"}
    assert found.record("now") == {"type": "gap", "ts": "now"} | facts
    assert read_gap(ReceivedEvent(event("7", kind="gap"), 0.0)).lost is None


@pytest.mark.parametrize(("key", "name"), [("~me", "your events"), ("~all", "broadcasts")])
def test_a_gap_in_events_is_named_as_at_the_start(key: str, name: str) -> None:
    data = f'{{"room":"{key}","from":"aaaa-1","to":"aaaa-4","lost":3,"reason":"trimmed"}}'
    found = read_gap(ReceivedEvent(event(data, kind="gap"), 0.0))
    assert found == gap(name, "aaaa-1", "aaaa-4", 3, "trimmed", is_room=False)
    assert str(found) == f"gap in {name}: 3 events will not come (trimmed)"
