from __future__ import annotations

from rtcli.apps.chat.model import ChatModel, Line, fold_presence
from rtcli.apps.chat.status import status_line
from rtcli.client.events import (
    Acked,
    ClientEvent,
    Connected,
    Gap,
    Joined,
    JoinRefused,
    Left,
    Lost,
    Message,
    Presence,
    Reconnected,
    RoundTrip,
    TypingChanged,
)
from rtcli.protocol.position import Position
from rtcli.terminal.clock import clock_time

NOON = "2026-05-01T12:00:00.000Z"
CLOCK = clock_time(NOON)


def message(
    text: str, *, room: str = "general", sender: str = "bob", history: bool = False, own: bool = False
) -> Message:
    return Message(room, text, sender, sender, NOON, None, Position("aaaa", 1), history, own)


def joined(room: str = "general", *, rejoined: bool = False, replayed: int = 0) -> Joined:
    members: list[tuple[int | str, str]] = [("me", "ann"), ("bob", "bob")]
    return Joined(room, members, 2, None, rejoined, replayed)


class Chat:
    def __init__(self, *, wide: bool = True) -> None:
        self.model = ChatModel(wide=wide)
        self.now = 100.0
        self.lines: list[str] = []
        self.happens(Connected("c1", "me"))

    def happens(self, *events: ClientEvent) -> list[str]:
        shown = [line.text for event in events for line in self.model.on_event(event, self.now)]
        self.lines += shown
        return shown

    def status(self, *, unsent: int = 0, width: int = 80) -> str:
        return status_line(self.model, unsent=unsent, now=self.now, width=width)


def test_joining_says_who_is_here_and_where_the_history_ends() -> None:
    chat = Chat()
    assert chat.happens(joined(replayed=2)) == [f"── #general · 2 here: you, bob · history 2 {'──' * 10}"]
    assert chat.happens(message("a", history=True)) == [f"{CLOCK} bob  a"]
    assert chat.happens(message("b", history=True)) == [f"{CLOCK} bob  b", f"── now {'──' * 10}"]
    assert chat.happens(message("c")) == [f"{CLOCK} bob  c"]


def test_ascii_when_the_terminal_knows_no_more() -> None:
    chat = Chat(wide=False)
    chat.happens(
        joined(replayed=1),
        message("a", history=True),
        RoundTrip(0.012),
        TypingChanged("general", "b", "b", is_typing=True),
    )
    assert all(line.isascii() for line in chat.lines)
    assert chat.status().isascii()
    assert chat.status().startswith(" [ok] 12 ms  #general  2 here  b typing...")


def test_both_edges_of_a_loss_and_what_was_missed() -> None:
    chat = Chat()
    chat.happens(joined())
    assert chat.happens(Lost("1006", 0.7, 1)) == ["-- lost (1006), retrying in 0.7 s"]
    assert chat.happens(Lost("refused", 2.0, 2)) == [], "only the first try is worth a line"
    assert chat.happens(Reconnected(7.0, 12), joined(rejoined=True)) == [
        "-- back after 7 s, 12 caught up",
        f"── 12 while you were away {'──' * 10}",
    ]
    assert chat.happens(Gap("general", 57, "trimmed")) == [
        "-- could not resume #general: 57 messages will not come (the server keeps no more)"
    ]
    assert chat.happens(Gap("general", 1, "new_reason")) == [
        "-- could not resume #general: 1 message will not come (new_reason)"
    ]


def test_what_others_write_stays_in_its_line() -> None:
    chat = Chat()
    chat.happens(joined())
    lines = chat.happens(
        message("\x1b[2J hi\r\n12:00:00 eve  I am somebody else\u202e", sender="b\x9bob" * 40)
    )
    assert lines[0].startswith(f"{CLOCK} b\\x9bob")
    assert lines[0].endswith("…  \\x1b[2J hi\\r")
    assert lines[1:] == ["         | 12:00:00 eve  I am somebody else\\u202e"]


def test_actions() -> None:
    chat = Chat()
    chat.happens(joined())
    assert chat.happens(message("/me waves")) == [f"{CLOCK} * bob waves"]


def test_people_come_and_go() -> None:
    chat = Chat()
    chat.happens(joined())
    assert chat.happens(Presence("general", "carol", "carol", here=True)) == ["* carol joined"]
    assert chat.happens(Presence("general", "me", "ann", here=True)) == []
    assert chat.model.rooms["general"].count == 3
    assert [line.text for line in chat.model.who()] == ["-- in #general: ann (you), bob, carol"]
    assert chat.happens(Presence("general", "bob", "bob", here=False)) == ["* bob left"]
    assert chat.model.rooms["general"].count == 2
    assert chat.happens(Presence("elsewhere", "x", "x", here=True)) == []


def test_many_who_come_at_once_are_counted() -> None:
    def came(number: int, what: str) -> Line:
        return Line(((f"* user{number} {what}", ("dim",)),))

    few = [came(number, "joined") for number in range(5)]
    assert fold_presence(few) == few
    said = Line((("12:00:00 ", ()), ("bob", ())))
    many = [*few, said, came(5, "joined"), came(6, "left")]
    assert [line.text for line in fold_presence(many)] == ["* 6 joined, 1 left", "12:00:00 bob"]


def test_typing_is_in_the_status_line_alone_and_ends_by_itself() -> None:
    chat = Chat()
    chat.happens(joined())
    assert (
        chat.happens(
            TypingChanged("general", "bob", "bob", is_typing=True),
            TypingChanged("general", "me", "ann", is_typing=True),
        )
        == []
    )
    assert "bob typing…" in chat.status()
    assert "ann" not in chat.status()
    chat.happens(message("done"))
    assert "typing" not in chat.status()
    chat.happens(TypingChanged("general", "bob", "bob", is_typing=True))
    chat.now += 6.0
    assert "typing" not in chat.status()
    chat.happens(*(TypingChanged("general", f"u{n}", f"u{n}", is_typing=True) for n in range(4)))
    assert "4 people typing…" in chat.status()
    chat.happens(TypingChanged("general", "u0", "u0", is_typing=False))
    assert "u1, u2, u3 typing…" in chat.status()
    chat.happens(Lost("1006", 1.0, 1))
    assert "typing" not in chat.status()


def test_the_status_line() -> None:
    chat = Chat()
    assert chat.status() == " ●  no room".ljust(79)
    chat.happens(joined(), RoundTrip(0.0124))
    assert chat.status(unsent=2) == " ● 12 ms  #general  2 here".ljust(70) + "2 unsent "
    chat.happens(Lost("1006", 4.2, 3))
    assert chat.status().startswith(" ◌ reconnecting in 4 s (try 3)  #general")
    chat.now += 4.0
    assert chat.status().startswith(" ◌ reconnecting now")
    assert status_line(ChatModel(wide=True), unsent=0, now=0.0, width=20).startswith(" ◌ connecting")
    for width in range(1, 100):
        assert len(chat.status(width=width)) <= width


def test_several_rooms() -> None:
    chat = Chat()
    chat.model.going_to = "general"
    chat.happens(joined("general"), joined("ops"))
    assert chat.model.active == "general", "a room that is joined meanwhile does not take the person away"
    assert chat.happens(message("hi", room="ops")) == [f"{CLOCK} #ops bob  hi"]
    assert "#general +1" in chat.status()
    assert chat.happens(Left("general")) == ["-- left #general"]
    assert chat.model.active == "ops"
    assert chat.happens(JoinRefused("ops", "forbidden", "Not allowed")) == [
        "-- not let into #ops: Not allowed (forbidden)"
    ]
    assert chat.model.active == ""
    assert [line.text for line in chat.model.who()] == ["-- you are in no room; /join ROOM"]
    assert chat.happens(Acked("c-1", "general", Position("aaaa", 1), duplicate=False)) == []


def test_a_server_that_tells_of_people_without_an_end_fills_no_memory() -> None:
    chat = Chat()
    chat.happens(joined())
    for number in range(10_500):
        chat.happens(Presence("general", f"u{number}", "n" * 500, here=True))
    for number in range(10_500):
        chat.happens(TypingChanged("general", f"v{number}", "n" * 500, is_typing=True))
    chat.happens(Presence("general", "x" * 129, "long", here=True))
    room = chat.model.rooms["general"]
    assert len(room.people) == 10_000
    assert max(map(len, room.people.values())) == 128
    assert room.typing == {}
    chat.happens(Presence("general", "u5", "left", here=False), Presence("general", "bob", "Bob", here=True))
    assert "u5" not in room.people
    assert room.people["bob"] == "Bob"
