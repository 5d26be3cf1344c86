"""Following a channel whose live messages may be lost, late, or of a log that is gone."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.broker.base import HistoryPage
from rtcli_server.broker.redis import follower as redis_follower
from rtcli_server.broker.redis.follower import ChannelFollower, Step

PAGE = 3


def publication(offset: int, epoch: str = "aaaa") -> Publication:
    return Publication("room:a", epoch, offset, "e", b"{}", 0)


def page(top: int, *offsets: int, epoch: str = "aaaa") -> HistoryPage:
    return HistoryPage([publication(offset, epoch) for offset in offsets], Position(epoch, top))


def following(top: int = 5) -> ChannelFollower:
    follower = ChannelFollower()
    assert follower.start_read() is None
    assert follower.finish_read(page(top)) == Step([])
    return follower


def test_it_begins_at_the_top_and_then_delivers_what_comes() -> None:
    follower = following()
    assert follower.live(publication(6)) == Step([publication(6)])
    assert follower.live(publication(7)) == Step([publication(7)])


def test_a_repeated_message_is_dropped() -> None:
    follower = following()
    follower.live(publication(6))
    assert follower.live(publication(6)) == Step([])
    assert follower.live(publication(5)) == Step([])


def test_messages_before_the_first_read_are_joined_to_its_top() -> None:
    follower = ChannelFollower()
    assert follower.live(publication(4)) == Step([])
    follower.start_read()
    assert follower.live(publication(6)) == Step([])
    assert follower.finish_read(page(5)) == Step([publication(6)])


def test_a_hole_is_filled_before_what_came_after_it() -> None:
    follower = following()
    assert follower.live(publication(8)) == Step([], read=True)
    assert follower.start_read() == Position("aaaa", 5)
    assert follower.live(publication(9)) == Step([])
    assert follower.finish_read(page(8, 6, 7, 8)) == Step([publication(n) for n in (6, 7, 8, 9)])
    assert follower.live(publication(10)) == Step([publication(10)])


def test_a_message_ahead_of_the_page_asks_for_another() -> None:
    follower = following()
    follower.live(publication(7))
    follower.start_read()
    follower.live(publication(9))
    assert follower.finish_read(page(7, 6, 7)) == Step([publication(6), publication(7)], read=True)
    assert follower.start_read() == Position("aaaa", 7)
    assert follower.finish_read(page(9, 8, 9)) == Step([publication(8), publication(9)])


def test_what_is_trimmed_shows_as_a_jump_or_is_reported() -> None:
    follower = following()
    follower.suspect()
    follower.start_read()
    assert follower.finish_read(page(9, 8, 9)) == Step([publication(8), publication(9)])
    follower.suspect()
    follower.start_read()
    assert follower.finish_read(page(12)) == Step([], lost=Position("aaaa", 12))
    assert follower.live(publication(13)) == Step([publication(13)])


def test_a_new_epoch_is_followed_from_its_beginning() -> None:
    follower = following()
    assert follower.live(publication(2, "bbbb")) == Step([], read=True)
    follower.start_read()
    assert follower.finish_read(page(2, epoch="bbbb")) == Step([], read=True)
    assert follower.start_read() == Position("bbbb", 0)
    new = [publication(1, "bbbb"), publication(2, "bbbb")]
    assert follower.finish_read(page(2, 1, 2, epoch="bbbb")) == Step(new)


def test_an_empty_new_log_is_reported() -> None:
    follower = following()
    follower.suspect()
    follower.start_read()
    assert follower.finish_read(page(0, epoch="bbbb")) == Step([], lost=Position("bbbb", 0))


def test_a_message_of_a_log_that_is_gone_does_not_ask_for_ever() -> None:
    follower = following()
    assert follower.live(publication(7, "gone")) == Step([], read=True)
    follower.start_read()
    assert follower.finish_read(page(5)) == Step([])


def test_what_happens_during_a_read_asks_for_another() -> None:
    follower = following()
    follower.suspect()
    follower.start_read()
    assert follower.suspect() == Step([])
    assert follower.finish_read(page(5)) == Step([], read=True)
    follower.start_read()
    assert follower.finish_read(page(5)) == Step([])


@dataclass
class World:
    """A log, what pub/sub still carries, and what a receiver was given or told."""

    follower: ChannelFollower = field(default_factory=ChannelFollower)
    epoch: int = 0
    top: int = 0
    kept_from: int = 1
    live: list[Publication] = field(default_factory=list)
    asked: HistoryPage | None = None
    got: list[tuple[str, int]] = field(default_factory=list)
    at: Position | None = None
    told: set[str] = field(default_factory=set)

    def name(self) -> str:
        return f"e{self.epoch:03d}"

    def ask(self) -> None:
        since = self.follower.start_read()
        offsets: list[int] = []
        if since is not None and since.epoch == self.name():
            offsets = list(range(max(since.offset + 1, self.kept_from), self.top + 1))[:PAGE]
        self.asked = page(self.top, *offsets, epoch=self.name())

    def take(self, step: Step) -> None:
        for one in step.deliver:
            self.got.append((one.epoch, one.offset))
        if step.read:
            self.ask()

    def act(self, action: str) -> None:
        if action == "publish":
            self.top += 1
            self.live.append(publication(self.top, self.name()))
        elif action == "lose" and self.live:
            self.live.pop(0)
        elif action == "arrive" and self.live:
            self.take(self.follower.live(self.live.pop(0)))
        elif action == "answer":
            self.answer()
        elif action == "trim":
            self.kept_from = self.top
        elif action == "flush":
            self.epoch, self.top, self.kept_from = self.epoch + 1, 0, 1

    def answer(self) -> None:
        asked, self.asked = self.asked, None
        if asked is not None:
            self.take(self.follower.finish_read(asked))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["publish", "publish", "publish", "lose", "arrive", "arrive", "answer", "trim", "flush"]
        ),
        max_size=80,
    ),
    st.integers(1, 4),
)
def test_any_loss_ends_with_everything_delivered_once_in_order(actions: list[str], held: int) -> None:
    world = World()
    before, redis_follower.MAX_HELD = redis_follower.MAX_HELD, held
    try:
        world.ask()
        for action in actions:
            world.act(action)
        world.take(world.follower.suspect())  # the check that comes in the end
        for _ in range(200):
            if world.asked is None:
                break
            world.answer()
        assert world.asked is None
        assert world.follower.position == Position(world.name(), world.top)
        assert world.got == sorted(set(world.got))
        start = min((offset for epoch, offset in world.got if epoch == world.name()), default=world.top + 1)
        if world.epoch and world.got and world.got[0][0] != world.name():
            assert start <= max(world.kept_from, 1)
        if world.kept_from == 1:
            current = [offset for epoch, offset in world.got if epoch == world.name()]
            assert current == list(range(start, world.top + 1))
    finally:
        redis_follower.MAX_HELD = before
