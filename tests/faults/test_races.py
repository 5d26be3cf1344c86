"""Joining while others publish, over both transports: no publication falls between the history and live.

One member leaves and comes back many times, with the position of the last publication that it received, and
always in the middle of a burst. So in each turn, its subscription and its reading of the history race with
the publishes. For the checker it is one receiver, which must get everything once and in order; and if the
log keeps less than a burst, it must be told each time that publications are lost.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from rtcli.protocol.position import Position, parse_cursor, parse_position
from tests.support.checker import Outcome, Receiver, Sent, Verdict, check
from tests.support.clients.raw_http import RawWebSocket
from tests.support.clients.raw_sse import EventStream
from tests.support.servers.live_server import LiveServer, live_server, token

SEED = 10
ROOM = "general"
TRANSPORTS = {"picows": True, "portable": False}
log = logging.getLogger(__name__)


class Publisher:
    """Publishes numbers, and knows the position of each."""

    def __init__(self, server: LiveServer) -> None:
        self._ws = RawWebSocket(server.port, f"/api/v1/ws?token={token('publisher')}")
        self._ws.send("join_room", room=ROOM)
        self.top = parse_position(self._ws.until("room_joined")["data"]["position"])
        self.sent: dict[str, Sent] = {}
        self._waiting = 0

    def say(self, count: int) -> None:
        """Publish without waiting."""
        for _ in range(count):
            self._ws.send("chat_message", f"{len(self.sent)}", room=ROOM, content="x")
            self.sent[f"{len(self.sent)}"] = Sent(f"{len(self.sent)}", ROOM, Outcome.UNKNOWN)
        self._waiting += count

    def settle(self) -> Position:
        """Wait for all acknowledgements. Returns the position at the end of the log."""
        for _ in range(self._waiting):
            ack = self._ws.until("ack")
            self.top = Position(ack["data"]["epoch"], ack["data"]["offset"])
            self.sent[ack["id"]] = Sent(ack["id"], ROOM, Outcome.ACKNOWLEDGED, self.top)
        self._waiting = 0
        return self.top

    def close(self) -> None:
        self._ws.sock.close()


class Member:
    """Comes and goes. `record` has all that it received, `losses` counts how often it was told of a loss."""

    def __init__(self, server: LiveServer, start: Position) -> None:
        self._server = server
        self.at = start
        self.record = Receiver(type(self).__name__, ROOM, start)
        self.resumed = 0
        self.losses = 0

    def come(self) -> None:
        """Ask to join."""
        raise NotImplementedError

    def stay_until(self, top: Position) -> None:
        """Receive everything up to the end of the log, and leave."""
        raise NotImplementedError

    def begin(self, position: Position, *, recovered: bool) -> None:
        """Record whether the resume was complete; if not, it continues at `position`."""
        self.resumed += recovered
        if not recovered:
            self.losses += 1
            self.record.gaps.append((position.epoch, self.at.offset + 1, position.offset))
            self.at = position

    def take(self, key: str, position: Position) -> None:
        """Record one publication."""
        assert position.offset == self.at.offset + 1, f"{position} after {self.at}"
        self.record.events.append((key, position))
        self.at = position


class WebSocketMember(Member):
    """Joins and leaves on one connection."""

    def __init__(self, server: LiveServer, start: Position) -> None:
        super().__init__(server, start)
        self._ws = RawWebSocket(server.port, f"/api/v1/ws?token={token('member')}")

    def come(self) -> None:
        self._ws.send("join_room", room=ROOM, since=str(self.at))

    def stay_until(self, top: Position) -> None:
        data = self._ws.until("room_joined")["data"]
        self.begin(parse_position(data["position"]), recovered=data["recovered"])
        while self.at.offset < top.offset:
            message = self._ws.message()
            if message["type"] == "new_message":
                news = message["data"]
                self.take(news["id"], Position(news["epoch"], news["offset"]))
        self._ws.send("leave_room", room=ROOM)
        self._ws.until("room_left")

    def close(self) -> None:
        self._ws.sock.close()


class StreamMember(Member):
    """Opens a new stream each time."""

    def come(self) -> None:
        cursor = f"{ROOM}={self.at}"
        self._stream = EventStream(self._server.port, rooms=(ROOM,), sub="member", last_event_id=cursor)

    def stay_until(self, top: Position) -> None:
        with self._stream as stream:
            ready = stream.json("ready")["channels"][ROOM]
            self.begin(parse_position(ready["position"]), recovered=ready["recovered"])
            while self.at.offset < top.offset:
                event = stream.until("new_message")
                where = parse_cursor(event.id, user_channel="user:member")[f"room:{ROOM}"]
                self.take(json.loads(event.data)["id"], where)

    def close(self) -> None:
        """Do nothing: each stream is closed already."""


@contextmanager
def racing(
    transport: str, kind: type[WebSocketMember | StreamMember], **settings: object
) -> Iterator[tuple[Publisher, WebSocketMember | StreamMember]]:
    """A server with one publisher and one member."""
    fast = TRANSPORTS[transport]
    with live_server(fast_websockets=fast, rate_limit_per_s=None, **settings) as server:
        publisher = Publisher(server)
        member = kind(server, publisher.top)
        try:
            yield publisher, member
        finally:
            member.close()
            publisher.close()


def race(publisher: Publisher, member: Member, turns: int, burst: int) -> Verdict:
    """Come back `turns` times in the middle of a burst, and in every eighth turn between two bursts."""
    rng = random.Random(SEED)
    with ThreadPoolExecutor(1) as others:
        for turn in range(turns):
            most = rng.choice((burst, burst // 4))
            publisher.say(rng.randint(0, most))
            if turn % 8 == 0:
                publisher.settle()
            saying = others.submit(publisher.say, rng.randint(0, most))
            member.come()
            saying.result()
            member.stay_until(publisher.settle())
    return check(publisher.sent.values(), [member.record])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [WebSocketMember, StreamMember])
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("store", ["memory:", "sqlite:"])
def test_nothing_falls_between_history_and_live(
    tmp_path: Path, store: str, transport: str, kind: type[WebSocketMember | StreamMember], soak: bool
) -> None:
    turns = 10_000 if soak else 150
    url = f"{store}{tmp_path / 'rt.db'}?synchronous=normal" if store == "sqlite:" else store
    with racing(transport, kind, store=url) as (publisher, member):
        verdict = race(publisher, member, turns, burst=4)
    log.info("%d races: %s", turns, verdict.summary())
    assert verdict.violations == []
    assert verdict.declared_lost == 0
    assert (member.resumed, member.losses) == (turns, 0)
    assert verdict.deliveries == verdict.acknowledged


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [WebSocketMember, StreamMember])
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("store", ["memory:", "sqlite:"])
def test_a_log_that_is_trimmed_during_the_replay_says_so(
    tmp_path: Path, store: str, transport: str, kind: type[WebSocketMember | StreamMember], soak: bool
) -> None:
    turns = 2_000 if soak else 60
    url = f"{store}{tmp_path / 'rt.db'}?synchronous=normal" if store == "sqlite:" else store
    with racing(transport, kind, store=url, history_size=12) as (publisher, member):
        verdict = race(publisher, member, turns, burst=48)
    log.info("%d replays of a log that is trimmed: %s", turns, verdict.summary())
    assert verdict.violations == []
    assert member.losses + member.resumed == turns
    assert min(member.losses, member.resumed) > 0  # both happened at some time
    assert verdict.declared_lost > 0
