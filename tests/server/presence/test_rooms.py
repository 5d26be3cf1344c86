"""Rooms on one instance: who is announced to whom, the grace period after a loss, typing that ends."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from rtcli_server.delivery.channel import Subscription
from rtcli_server.presence.announcements import Announcements
from rtcli_server.presence.occupancy import Occupancy
from rtcli_server.presence.rooms import Rooms
from rtcli_server.presence.service import LocalPresence
from rtcli_server.timing.clock import Clock
from rtcli_server.timing.timer_wheel import TimerWheel
from tests.support.fakes.fanout import FakeSubscriber, Turns, at, join, new_fanout

GRACE_S = 5.0
TYPING_S = 3.0


@dataclass
class Person:
    user_id: str
    subscriber: FakeSubscriber = field(default_factory=FakeSubscriber)
    subscription: Subscription | None = None


class World:
    def __init__(self) -> None:
        self.now = 0.0
        self.turns = Turns()
        self.wheel = TimerWheel(0.0)
        clock = Clock(lambda: self.now, lambda: 1_700_000_000.0 + self.now)
        self.fanout = new_fanout(self.turns)
        occupancy = Occupancy()
        announcements = Announcements(self.fanout, occupancy, self.wheel, clock, typing_s=TYPING_S)
        self.rooms = Rooms(
            fanout=self.fanout,
            occupancy=occupancy,
            announcements=announcements,
            presence=LocalPresence(
                occupancy, on_joined=announcements.user_joined, on_left=announcements.user_left
            ),
            wheel=self.wheel,
            clock=clock,
            grace_s=GRACE_S,
        )

    async def enter(self, user_id: str, name: str = "") -> Person:
        person = Person(user_id)
        person.subscription = join(self.fanout, person.subscriber, at(0))
        await self.rooms.enter("a", user_id, name or f"user {user_id}", person.subscription)
        self.turns.run()
        return person

    def lose(self, person: Person) -> None:
        assert person.subscription is not None
        self.rooms.lose("a", person.user_id, person.subscription)

    def leave(self, person: Person) -> None:
        assert person.subscription is not None
        self.rooms.leave("a", person.user_id, person.subscription)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.wheel.advance(self.now)

    def seen(self, person: Person) -> list[tuple[str, object]]:
        """What a person was told since the last time: (type, user id)."""
        self.turns.run()
        messages = [json.loads(text) for text in person.subscriber.texts]
        person.subscriber.batches.clear()
        return [(message["type"], message["data"]["user_id"]) for message in messages]


@pytest.fixture
def world() -> World:
    return World()


async def test_a_second_tab_joins_and_leaves_silently(world: World) -> None:
    ann = await world.enter("1")
    first, second = await world.enter("7"), await world.enter("7")
    assert world.seen(ann) == [("user_joined", 7)]
    assert world.seen(first) == [], "nobody is told of themselves"
    world.leave(first)
    assert world.seen(ann) == []
    world.leave(second)
    world.leave(second)
    assert world.seen(ann) == [("user_left", 7)]
    assert world.rooms.here() == {"a": 1}


async def test_a_lost_user_stays_for_the_grace_period(world: World) -> None:
    ann, lost = await world.enter("1"), await world.enter("7")
    world.seen(ann)
    world.lose(lost)
    world.advance(GRACE_S - 1)
    assert world.rooms.here() == {"a": 2}
    assert world.seen(ann) == []
    world.advance(2)
    assert world.seen(ann) == [("user_left", 7)]
    assert world.rooms.here() == {"a": 1}


async def test_one_who_comes_back_was_never_gone(world: World) -> None:
    ann, lost = await world.enter("1"), await world.enter("7")
    world.seen(ann)
    world.lose(lost)
    world.advance(GRACE_S - 1)
    back = await world.enter("7", "Anna")
    world.advance(10 * GRACE_S)
    assert world.seen(ann) == []
    infos, count = await world.rooms.members("a")
    assert [(info.user_id, info.name) for info in infos] == [(1, "user 1"), (7, "Anna")]
    assert count == 2
    world.lose(back)
    world.advance(GRACE_S + 1)
    assert world.seen(ann) == [("user_left", 7)]


async def test_one_who_is_joining_gets_what_was_announced_meanwhile(world: World) -> None:
    pending = world.rooms.begin_join("a", "7")
    await world.enter("1")
    await world.enter("7")
    world.rooms.end_join(pending)
    await world.enter("2")
    assert [json.loads(text)["data"]["user_id"] for text in pending.texts] == [1]


async def test_typing_ends_by_itself_and_with_its_user(world: World) -> None:
    ann, bob = await world.enter("1"), await world.enter("7")
    world.seen(ann)
    world.rooms.set_typing("a", "7", "Bob", is_typing=True)
    assert world.seen(ann) == [("user_typing", 7)]
    world.advance(TYPING_S - 1)
    assert world.seen(ann) == []
    world.advance(2)
    assert world.seen(ann) == [("user_typing", 7)]
    world.rooms.set_typing("a", "7", "Bob", is_typing=True)
    world.leave(bob)
    assert world.seen(ann) == [("user_typing", 7), ("user_left", 7)]
    world.advance(2 * TYPING_S)
    assert world.seen(ann) == []
