"""What the events of an rtcli stream mean: where it is, what is missing, what comes twice."""

from __future__ import annotations

import pytest

from rtcli import CaughtUp, ConnectionWarning, Gap, Opened, StreamEvent, StreamUpdate
from rtcli.library.stream_reading import StreamReading
from rtcli.protocol.position import Position
from rtcli.protocol.sse import ServerSentEvent

READY = (
    '{"cursor":"a=aaaa-3,~me=bbbb-0","channels":{"a":{"position":"aaaa-5","recovered":true},'
    '"b%20":{"position":"cccc-9","recovered":false,"reason":"trimmed"},'
    '"~me":{"position":"bbbb-0","recovered":false,"reason":"epoch_changed"}},"recovered":false}'
)


class Stream:
    """A reading, and what is read."""

    def __init__(self, last_event_id: str = "") -> None:
        self.reading = StreamReading(last_event_id)

    def read(self, data: str = "{}", *, kind: str = "message", cursor: str = "") -> list[StreamUpdate]:
        return list(self.reading.read(ServerSentEvent(kind, data, cursor)))


def ends(gap: StreamUpdate) -> tuple[str | None, str | None]:
    """Where a gap begins and ends, which do not count when gaps are compared."""
    assert isinstance(gap, Gap)
    return (None if gap.after is None else str(gap.after), None if gap.upto is None else str(gap.upto))


def test_ready_says_what_follows_and_what_does_not() -> None:
    opened, first, second, event = Stream("a=aaaa-3,~me=zzzz-4").read(
        READY, kind="ready", cursor="a=aaaa-3,~me=bbbb-0"
    )
    assert opened == Opened("a=aaaa-3,~me=bbbb-0", resumes=True, away_s=None, caught_up=2)
    assert (first, second) == (Gap("b ", None, "trimmed"), Gap("~me", None, "epoch_changed"))
    assert (ends(first), ends(second)) == ((None, "cccc-9"), ("zzzz-4", "bbbb-0"))
    assert event == StreamEvent("ready", READY, "a=aaaa-3,~me=bbbb-0", about_stream=True)


def test_the_number_lost_is_known_within_one_log() -> None:
    data = '{"channels":{"a":{"position":"aaaa-500","recovered":false,"reason":"too_many"}}}'
    updates = Stream("a=aaaa-100").read(data, kind="ready", cursor="a=aaaa-500")
    assert Gap("a", 400, "too_many") in updates


@pytest.mark.parametrize(
    "data", ["", "[]", "{}", '{"channels":7}', '{"channels":{"a":{"position":"x"}}}', '{"channels":{"a":1}}']
)
def test_a_ready_of_another_kind_says_nothing(data: str) -> None:
    opened, event, caught_up = Stream().read(data, kind="ready")
    assert opened == Opened("", resumes=False, away_s=None, caught_up=0)
    assert isinstance(event, StreamEvent)
    assert caught_up == CaughtUp()


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
def test_whether_everything_has_come(cursor: str, all_shown: bool) -> None:
    stream = Stream()
    ready = '{"channels":{"a":{"position":"aaaa-5"},"b":{"position":"bbbb-1"}}}'
    assert CaughtUp() not in stream.read(ready, kind="ready", cursor="a=aaaa-0,b=bbbb-0")
    assert (CaughtUp() in stream.read(cursor=cursor)) is all_shown


def test_it_is_said_once_that_everything_has_come() -> None:
    stream = Stream()
    ready = '{"channels":{"a":{"position":"aaaa-1"}}}'
    assert CaughtUp() not in stream.read(ready, kind="ready", cursor="a=aaaa-0")
    assert CaughtUp() in stream.read(cursor="a=aaaa-1")
    assert CaughtUp() not in stream.read(cursor="a=aaaa-2")
    stream.reading.opened("a=aaaa-2", 1.5)
    opened, _, caught_up = stream.read(ready.replace("-1", "-2"), kind="ready", cursor="a=aaaa-2")
    assert (opened, caught_up) == (Opened("a=aaaa-2", resumes=True, away_s=1.5, caught_up=0), CaughtUp())


def test_what_the_server_repeats_is_told_by_the_cursor() -> None:
    stream = Stream()
    cursors = [
        "a=aaaa-1,b=bbbb-1",
        "a=aaaa-2,b=bbbb-1",
        "a=aaaa-2,b=bbbb-1",
        "a=aaaa-1,b=bbbb-1",
        "a=aaaa-2,b=bbbb-2",
    ]
    kinds = [[type(update) for update in stream.read(cursor=cursor)] for cursor in cursors]
    assert kinds == [[StreamEvent], [StreamEvent], [ConnectionWarning], [ConnectionWarning], [StreamEvent]]
    assert isinstance(stream.read(cursor="a=cccc-1,b=bbbb-2")[0], StreamEvent), "a new log starts anew"
    assert isinstance(stream.read(cursor="no cursor")[0], StreamEvent), "what is not understood is shown"


@pytest.mark.parametrize("room", ["a", "~me", "~all"])
def test_a_gap_event(room: str) -> None:
    data = f'{{"room":"{room}","from":"aaaa-1","to":"aaaa-4","lost":3,"reason":"trimmed"}}'
    gap, event = Stream().read(data, kind="gap")
    assert gap == Gap(room, 3, "trimmed", Position("aaaa", 1), Position("aaaa", 4))
    assert ends(gap) == ("aaaa-1", "aaaa-4")
    assert isinstance(event, StreamEvent)
    assert isinstance(gap, Gap)
    assert gap.is_room is (room == "a")


def test_a_gap_event_that_says_nothing_is_a_gap() -> None:
    assert Stream().read("7", kind="gap")[0] == Gap("?", None, "None")


def test_the_data_of_an_event_as_json() -> None:
    assert StreamEvent("e", '{"a": [1, "b"]}', "").json() == {"a": [1, "b"]}
    with pytest.raises(ValueError, match="Expecting value"):
        StreamEvent("e", "no json", "").json()
