"""Personal and broadcast events of a load test: users go on after a loss, and what is wrong is counted."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter

import httpx
import msgspec
import pytest

from rtcli.load.adapters import ChannelEvent, ChannelStart, Hello, Position, RtcliSse, RtcliWs
from rtcli.load.audit.personal_events import DECLARED, MISSING, REPEATED, PersonalEvents
from rtcli.load.results.model import Verdict
from rtcli.protocol.messages import encode
from rtcli.protocol.messages import server as s
from rtcli.protocol.tokens import create_token
from rtcli_server.process.runner import running_server
from rtcli_server.settings import Settings
from tests.support.load.runs import SECRET, run
from tests.support.load.workers import background


def at(offset: int, epoch: str = "aaaa") -> Position:
    return Position(epoch, offset)


RECEIVED = ("ws_msgs_received", "sse_events")


class Recorded:
    """Events of a user who was greeted at 2 in its own channel, and what was counted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.events = PersonalEvents(self._count)
        self.events.begin([ChannelStart("~me", at(2), None)])

    def _count(self, code: str, number: int) -> None:
        self.counts[code] += number

    def take(self, *offsets: int, epoch: str = "aaaa") -> None:
        for offset in offsets:
            self.events.take("~me", at(offset, epoch))


def test_the_cursor_follows() -> None:
    user = Recorded()
    user.take(3, 4)
    user.events.begin([ChannelStart("~all", at(7), None)])
    assert user.events.cursor == "~me=aaaa-4,~all=aaaa-7"
    assert user.counts == {}


def test_what_is_missing_and_what_comes_again_is_counted() -> None:
    user = Recorded()
    user.take(3, 3, 6)
    assert user.counts == {REPEATED: 1, MISSING: 2}


def test_a_resume_goes_on_where_it_was_unless_the_server_says_otherwise() -> None:
    user = Recorded()
    user.take(3)
    user.events.begin([ChannelStart("~me", at(9), recovered=True)])
    user.take(4)
    assert user.counts == {}
    user.events.begin([ChannelStart("~me", at(9), recovered=False)])
    user.take(10)
    assert user.counts == {DECLARED: 5}
    user.events.begin([ChannelStart("~me", at(1, "bbbb"), recovered=False)])  # nobody knows how many
    user.take(2, epoch="bbbb")
    assert user.counts == {DECLARED: 6}


def test_a_server_that_does_not_resume_is_not_held_to_less() -> None:
    user = Recorded()
    user.events.begin([ChannelStart("~me", at(4), None)])
    assert user.counts == {DECLARED: 2}


def test_gaps_are_counted_and_rooms_are_none_of_these_channels() -> None:
    user = Recorded()
    assert user.events.declare_gap("~me", at(5), 3)
    user.take(6)
    assert not user.events.declare_gap("general", at(5), 3)
    assert user.counts == {DECLARED: 3}
    for lie in (-5, 0):
        assert user.events.declare_gap("~me", at(6), lie)
    assert user.counts == {DECLARED: 5}


def test_a_server_that_makes_up_channels_fills_no_memory() -> None:
    """Only the channels of the protocol are followed, on either transport."""
    keys = ("~me", "~all", "~us", "general", "a&b")
    states = {key: s.ChannelState(position="aaaa-1") for key in keys}
    hello = s.ConnectedData(
        connection_id="c", user_id="7", instance_id="i", heartbeat_s=30.0, cursor="", channels=states
    )
    greeting = RtcliWs().parse(encode(s.Connected(data=hello)))
    assert isinstance(greeting, Hello)
    assert {start.channel for start in greeting.channels} == {"~me", "~all"}
    ready = msgspec.json.encode(s.ReadyData(connection_id="c", cursor="", channels=states)).decode()
    first, *_ = RtcliSse().parse("ready", ready, "")
    assert isinstance(first, Hello)
    assert {start.channel for start in first.channels} == {"~me", "~all"}
    for channel in ("room:general", "user:8", "what", ""):
        data = s.EventData(event="e", data=1, channel=channel, offset=1, epoch="aaaa")
        event = RtcliWs().parse(encode(s.Event(data=data)))
        assert event == ChannelEvent("~me", at(1))


SCENARIO = """
    name: events
    seed: 5
    phases: [{ name: run, for: 2s }]
    roles:
      reader:
        users: 4
        ROLE
        flow:
          - connect: { CONNECT }
          - loop:
              steps: [{ hold: 200ms }, { kill: rst }, { backoff: 100ms }, resume]
              for: 1500ms
          - hold
    attendance: off
    thresholds:
      errors{code:events_missing}: [{ expr: "count == 0", no_data: pass }]
      errors{code:events_repeated}: [{ expr: "count == 0", no_data: pass }]
      errors{code:events_gap}: [{ expr: "count == 0", no_data: pass }]
"""


@pytest.mark.parametrize(
    ("role", "connect"), [("protocol: rtcli", "events: true"), ("protocol: sse", "rooms: [lobby]")]
)
async def test_users_that_are_cut_off_miss_nothing(role: str, connect: str) -> None:
    async def publish(url: str) -> None:
        token = create_token(SECRET, sub="app", now=time.time(), scope="publish")
        async with httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False
        ) as http:
            for number in itertools.count():
                paths = [f"/api/v1/users/reader-{user}/events" for user in range(1, 5)]
                for path in (*paths, "/api/v1/events"):
                    await http.post(path, json={"event": "news", "data": {"n": number}})
                await asyncio.sleep(0.02)

    settings = Settings(port=0, secrets=(SECRET,), rate_limit_per_s=None)
    async with running_server(settings) as server, background(publish(server.url)):
        result = await run(SCENARIO.replace("ROLE", role).replace("CONNECT", connect), server.url)
    assert result.verdict is Verdict.PASSED, result.reasons
    assert result.metrics["reconnects"].count >= 4
    assert max(result.metrics[name].count for name in result.metrics if name in RECEIVED) >= 20
