"""Who is named for a wrong order in a room whose protocol tells no positions."""

from __future__ import annotations

from collections import defaultdict

import pytest

from rtcli.load.audit.audit import Audit
from rtcli.load.audit.judgement.judge import Judge
from rtcli.load.audit.records import Delivery, Subscriber
from rtcli.load.audit.sender_log import split_id

Named = set[tuple[str, str]]
"""(subscriber, message)."""


class Room:
    """A room with one publisher per message, and the audit that follows it."""

    def __init__(self, readers: str, order: str = "per-room") -> None:
        self.audit = Audit(
            7, 0, delivery_key_of=lambda _at, _lag: 0, on_complete=lambda _entry, _taken: None, order=order
        )
        self.now = 1_000
        self.readers = {name: Subscriber(name) for name in readers}
        self.counts: dict[int, int] = defaultdict(int)
        self.tokens: dict[str, bytes] = {}
        self.names: dict[tuple[int, int], str] = {}
        for reader in self.readers.values():
            self.audit.joined(self.audit.join(reader, "hall", 1, counts=self.counts), 2)

    def send(self, *publishers: str) -> None:
        """Each publisher's messages, all on their way before anybody gets one."""
        for publisher in publishers:
            log = self.audit.open_log(publisher[0], "hall")
            for name in publisher.split():
                number, self.tokens[name] = self.audit.send(log, self.now, self.now)
                self.names[log.number, number] = name

    def receive(self, reader: str, messages: str) -> None:
        for name in messages.split():
            self.now += 1
            delivery = Delivery(self.readers[reader], "hall", self.tokens[name], None, self.now, b"")
            self.audit.receive(delivery)

    def reordered(self) -> Named:
        account = Judge(self.audit, self.now + 10_000, patience=50, self_echo=True).judge()
        assert {case.kind for case in account.cases} <= {"reordered", "lost"}
        return {
            (case.user, self.names[split_id(case.identity)])
            for case in account.cases
            if case.kind == "reordered"
        }


@pytest.mark.parametrize(
    ("seen", "named"),
    [
        pytest.param(["A x y z", "B x z y", "C x y z"], {("B", "y")}, id="one differs from two"),
        pytest.param(["A z x y", "B x y z", "C x y z"], {("A", "x"), ("A", "y")}, id="the first one differs"),
        pytest.param(["A z", "B w y", "C y z", "D w x y"], set(), id="each misses others, none contradicts"),
    ],
)
def test_those_are_named_whom_most_contradict(seen: list[str], named: Named) -> None:
    room = Room("ABCD")
    room.send("w", "x", "y", "z")
    for line in seen:
        room.receive(line[0], line[2:])
    assert room.reordered() == named


def test_a_publisher_is_right_against_all_receivers() -> None:
    room = Room("ABC")
    room.send("p1 p2", "q")
    for reader in "ABC":
        room.receive(reader, "p2 q p1")
    assert room.reordered() == {("A", "p1"), ("B", "p1"), ("C", "p1")}


def test_each_publishers_order_alone_counts_when_the_scenario_says_so() -> None:
    room = Room("AB", order="per-publisher")
    room.send("p1 p2", "q")
    room.receive("A", "q p1 p2")
    room.receive("B", "p2 p1 q")
    assert room.reordered() == {("B", "p1")}


def test_one_who_left_before_is_not_held_to_what_came_after_it() -> None:
    room = Room("AB")
    room.send("x", "y")
    room.receive("A", "y")
    stay = room.readers["A"].memberships["hall"]
    room.audit.leaving(stay, room.now + 1)
    room.audit.left(room.readers["A"], stay, room.now + 2)
    room.now += 100
    room.audit.sweep(room.now, patience=50)
    room.send("z")
    room.receive("B", "x z y")
    assert room.reordered() == set()


def test_many_receivers_and_a_long_stretch_are_settled() -> None:
    readers = "".join(chr(0x100 + number) for number in range(200))
    room = Room(readers)
    names = [f"m{number}" for number in range(300)]
    room.send(*names)
    for reader in readers[:-1]:
        room.receive(reader, " ".join(names))
    room.receive(readers[-1], " ".join([*names[1:], names[0]]))
    assert room.reordered() == {(readers[-1], "m0")}
