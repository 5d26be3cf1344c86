"""Fan-out, resume and catching up against a model.

Any interleaving of publishing, delivery, joins with their histories read late, slow subscribers, leaving,
trimming and a log that begins anew. What must hold for each subscription: what it was written follows its
beginning without a hole and without a repeat, or a gap says what is missing; of what excludes its user it was
written the position alone; at rest it is at the log's top.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import Position, parse_position
from rtcli.protocol.publication import Publication
from rtcli_server.broker import BrokerUnavailableError, HistoryPage
from rtcli_server.delivery.channel import State, Subscription
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.delivery.recovery import RecoveryRequest, RecoveryResult, begin, catch_up, read_missed
from tests.support.fakes.fanout import FakeSubscriber, Turns, publication

CHANNEL = "room:a"
MAX_REPLAY = 5
NOT_ANN = Exclusion(users=frozenset({"ann"}))  # every third publication excludes her
PIECE_BYTES = 220  # three publications


class Suspended:
    """An awaitable that lets the machine run something else first."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Log:
    """The model of a broker whose delivery lags behind."""

    def __init__(self) -> None:
        self.epochs = 0
        self.kept: list[Publication] = []
        self.top = 0
        self.subscribed = False
        self.undelivered: deque[Publication] = deque()
        self.begin_anew()

    def begin_anew(self) -> None:
        self.epochs += 1
        self.kept = []
        self.top = 0

    @property
    def epoch(self) -> str:
        return f"epoch{self.epochs}"

    def publish(self) -> None:
        self.top += 1
        new = publication(self.top, epoch=self.epoch, exclude=None if self.top % 3 else NOT_ANN)
        self.kept.append(new)
        if self.subscribed:
            self.undelivered.append(new)

    async def history(self, channel: str, *, since: Position | None, limit: int) -> HistoryPage:
        assert channel == CHANNEL
        await Suspended()
        top = Position(self.epoch, self.top)
        if since is None:
            found = self.kept[-limit:] if limit else []
        elif since.epoch != self.epoch:
            found = []
        else:
            found = [p for p in self.kept if p.offset > since.offset][:limit]
        page = HistoryPage(found, top)
        await Suspended()  # the answer is under way while more happens
        return page


class Reader:
    """One connection, and what it was told: a beginning, then publications and gaps."""

    def __init__(
        self,
        fanout: Fanout,
        log: Log,
        since: Position | None,
        limit: int,
        *,
        user_id: str,
        catch_up_later: Callable[[Subscription], None],
    ) -> None:
        self.fanout = fanout
        self.log = log
        self.catch_up_later = catch_up_later
        self.subscriber = FakeSubscriber(user_id=user_id)
        self.since = since
        self.limit = limit
        self.begin: Position | None = None
        self.subscription: Subscription | None = None
        self.left = False

    async def join(self) -> None:
        self.subscription = subscription = self.fanout.open(CHANNEL, self.subscriber)
        try:
            request = RecoveryRequest(
                subscription.channel, self.since, MAX_REPLAY if self.since is not None else self.limit
            )
            resumed = (await read_missed(self.log.history, [request], piece_bytes=PIECE_BYTES))[0]
        except BrokerUnavailableError:
            self.left = True
            self.fanout.close(subscription)
        else:
            if self.left:
                self.fanout.close(subscription)
            else:
                self.enter(subscription, resumed)
        finally:
            subscription.channel.release()

    def enter(self, subscription: Subscription, resumed: RecoveryResult) -> None:
        if resumed.failure is None and self.since is not None:
            self.begin = self.since
        elif resumed.publications:
            first = resumed.publications[0]
            self.begin = Position(first.epoch, first.offset - 1)
        else:
            self.begin = resumed.top
        begin(self.fanout, subscription, resumed)
        if subscription.state is State.LAGGING:
            self.catch_up_later(subscription)

    def check(self) -> Position:
        """Follow what was written; return where it leads."""
        assert self.begin is not None
        at = self.begin
        for text in self.subscriber.texts:
            message = json.loads(text)
            data = message["data"]
            if message["type"] == "gap":
                assert data["from"] == str(at), (data, at)
                at = parse_position(data["to"])
            elif message["type"] in {"new_message", "skipped"}:
                excluded = self.subscriber.user_id == "ann" and data["offset"] % 3 == 0
                assert (message["type"] == "skipped") == excluded
                assert (data["epoch"], data["offset"]) == (at.epoch, at.offset + 1), (data, at)
                at = Position(data["epoch"], data["offset"])
        return at


class FanoutMachine(RuleBasedStateMachine):
    """Rules are what may happen; time passes by `step` and `turn` alone."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = Turns()
        self.log = Log()
        self.fanout = Fanout(
            subscribe=lambda _channel: setattr(self.log, "subscribed", True),
            unsubscribe=self.unsubscribe,
            call_soon=self.turns.call_soon,
            timestamp=lambda: "t",
        )
        self.readers: list[Reader] = []
        self.work: list[Coroutine[Any, Any, object]] = []
        self.catching_up: set[Subscription] = set()

    def unsubscribe(self, _channel: str) -> None:
        self.log.subscribed = False
        self.log.undelivered.clear()

    # -- what may happen -----------------------------------------------------------------------------------

    @rule(count=st.integers(1, 4))
    def publish(self, count: int) -> None:
        for _ in range(count):
            self.log.publish()

    @rule(count=st.integers(1, 6))
    def deliver(self, count: int) -> None:
        for _ in range(min(count, len(self.log.undelivered))):
            self.fanout.deliver(self.log.undelivered.popleft())

    @rule()
    def turn(self) -> None:
        self.turns.turn()

    @rule(back=st.none() | st.integers(-2, 9), limit=st.integers(0, 4), user=st.sampled_from(["ann", "bob"]))
    def join(self, back: int | None, limit: int, user: str) -> None:
        since = None if back is None else Position(self.log.epoch, max(0, self.log.top - back))
        reader = Reader(self.fanout, self.log, since, limit, user_id=user, catch_up_later=self.catch_up_later)
        self.readers.append(reader)
        self.work.append(reader.join())

    @rule(index=st.integers(0, 20))
    def step(self, index: int) -> None:
        if self.work:
            self.step_one(index % len(self.work))

    def step_one(self, index: int) -> None:
        try:
            self.work[index].send(None)
        except StopIteration:
            del self.work[index]

    @rule(index=st.integers(0, 20))
    def leave(self, index: int) -> None:
        if self.readers:
            reader = self.readers[index % len(self.readers)]
            reader.left = True
            if reader.subscription is not None and reader.subscription.state is not State.RECOVERING:
                self.fanout.close(reader.subscription)

    @rule(index=st.integers(0, 20))
    def fill(self, index: int) -> None:
        live = self.live()
        if live:
            reader, subscription = live[index % len(live)]
            reader.subscriber.full = True
            self.fanout.stall([subscription])

    @rule(index=st.integers(0, 20))
    def drain(self, index: int) -> None:
        full = [pair for pair in self.live() if pair[0].subscriber.full]
        if full:
            self.drain_one(*full[index % len(full)])

    def drain_one(self, reader: Reader, subscription: Subscription) -> None:
        reader.subscriber.full = False
        self.catch_up_later(subscription)

    def catch_up_later(self, subscription: Subscription) -> None:
        if subscription in self.catching_up:
            return
        self.catching_up.add(subscription)
        self.work.append(self.catch_up(subscription))

    async def catch_up(self, subscription: Subscription) -> None:
        try:
            await catch_up(self.fanout, self.log.history, subscription, piece_bytes=PIECE_BYTES)
        finally:
            self.catching_up.discard(subscription)

    @rule(keep=st.integers(0, 3))
    def trim(self, keep: int) -> None:
        self.log.kept = self.log.kept[-keep:] if keep else []

    @rule()
    def begin_anew(self) -> None:
        self.log.begin_anew()

    @rule()
    def announce(self) -> None:
        subscriptions = [subscription for _, subscription in self.live()]
        self.fanout.announce(CHANNEL, b'{"type":"user_typing","data":{}}', exclude=subscriptions[:1])

    def live(self) -> list[tuple[Reader, Subscription]]:
        return [
            (reader, reader.subscription)
            for reader in self.readers
            if reader.subscription is not None and reader.begin is not None and not reader.left
        ]

    # -- what must hold ------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_repeated_or_missing(self) -> None:
        for reader, _ in self.live():
            reader.check()

    def teardown(self) -> None:
        """Let everything come to rest: then everyone stands at the top."""
        for _ in range(200):
            self.deliver_all()
            for index in reversed(range(len(self.work))):
                self.step_one(index)
            for reader, subscription in self.live():
                if reader.subscriber.full:
                    self.drain_one(reader, subscription)
            if not self.work and not self.log.undelivered:
                break
        assert not self.work
        if self.live():
            self.log.publish()  # shows a log that began anew
            self.deliver_all()
        for reader, subscription in self.live():
            assert reader.check() == Position(self.log.epoch, self.log.top), subscription.state

    def deliver_all(self) -> None:
        while self.log.undelivered:
            self.fanout.deliver(self.log.undelivered.popleft())
        self.turns.run()


def test_fan_out(soak: bool) -> None:
    run_state_machine_as_test(
        FanoutMachine,
        settings=settings(max_examples=3000 if soak else 200, stateful_step_count=40, deadline=None),
    )
