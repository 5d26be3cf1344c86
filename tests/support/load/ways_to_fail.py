"""Ways in which deployments fail, and what a report must show of each: a table, for `test_ways_to_fail.py`.

Six readers and two writers are in two rooms, half of them in each; every message is due to the four in its
room.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rtcli.errors import Exit
from tests.support.fakes.faulty_server.door import Door
from tests.support.fakes.faulty_server.faults import Faults
from tests.support.load import deployments as how
from tests.support.load.deployments import Deployment

USERS = 8
RECEIVERS = 4  # of each message
LONG, LONG_DUE = "2600ms", 104  # in which something happens once everybody is known to be there
LONG_PLANNED = LONG_DUE * RECEIVERS
ALL = "sends unsent deliveries missed nothing"
EVERYTHING_COMES = "5s"  # to settle: longer than a server keeps a message back, and than a busy machine

SCENARIO = """
    name: ways
    seed: 4
    phases:
      - { name: gather, for: 600ms, publish: stop }
      - { name: run, for: RUN }
      - { name: drain, for: 200ms, publish: stop }
    roles:
      reader: { users: 6, ROLE flow: [CONNECT, hold] }
      writer: { users: 2, ROLE flow: [CONNECT, { send: { room: ROOM, rate: 20/s } }] }
    audit: { settle: SETTLE }
    thresholds: { LIMITS }
"""
ROOM = '"hall-${mod(user.number, 2)}"'
CONNECT = {
    "ws": f"connect, {{ join: {{ room: {ROOM}, timeout: 1s }} }}",
    "sse": f"{{ connect: {{ rooms: [{ROOM}], timeout: 1s }} }}",
}
FAST = 'fanout_latency: ["p(99) < 250ms"]'


Figure = int | range
"""A number that a report must show, or the numbers of which it must show one."""


@dataclass(frozen=True)
class Way:
    """One way to fail, and what must be said of it; `sse`: what is different over event streams."""

    name: str
    deployment: Deployment
    says: str  # in the headline
    fails: str  # JUnit's cases, in short: see `CASES`
    codes: Mapping[str, Figure] = field(default_factory=dict)  # of what is missing from users and messages
    users: Figure = USERS
    due: int = 36  # at most
    accepted: Figure = 36
    planned: Figure = 144
    delivered: Figure = 144
    may_fail: str = ""  # cases for which it depends on who was refused
    exit: Exit = Exit.AUDIT
    run: str = "900ms"
    settle: str = "600ms"  # where something stays away, all of it is waited for
    role: str = ""
    limits: str = ""
    sse: Mapping[str, Any] = field(default_factory=dict)
    system: bool = False  # needs a system package

    def scenario(self, transport: str) -> str:
        """The text of the scenario."""
        role = self.role if transport == "ws" else f"protocol: sse, {self.role}"
        words = {"RUN": self.run, "SETTLE": self.settle, "LIMITS": self.limits, "ROLE": role}
        found = SCENARIO
        for word, value in {**words, "CONNECT": CONNECT[transport], "ROOM": ROOM}.items():
            found = found.replace(word, value)
        return found


CASES = {
    "absent": "no user is absent",
    "unsent": "no message is unsent",
    "missed": "no delivery is missed",
    "lost": "no delivery is lost",
    "duplicate": "no delivery is duplicate",
    "reordered": "no delivery is reordered",
    "corrupt": "no delivery is corrupt",
    "ghost": "no delivery is ghost",
    "phantom": "no delivery is phantom",
    "resume_gap": "no delivery is resume gap",
    "nothing": "something was delivered",
    "fast": "fanout_latency: p(99) < 250ms",
    "inconclusive": "verdict: inconclusive",
}


def some_readers(user_id: str) -> bool:
    """Four of the six readers."""
    return user_id in {"reader-1", "reader-2", "reader-3", "reader-4"}


def readers(user_id: str) -> bool:
    """All readers."""
    return user_id.startswith("reader")


def refusing(status: int) -> Way:
    return Way(
        f"refuses four of six readers with {status}",
        how.door(Door(some_readers, status=status)),
        f"4 of 8 users absent .the server answered {status} to the",
        "users absent deliveries missed",
        {f"http_{status}": 4},
        users=4,
        delivered=72,
    )


def closing(code: int) -> Way:
    ended = f"close_{code}"
    return Way(
        f"closes readers with {code}",
        how.door(Door(readers, close=(0.9, code))),
        "6 of 8 users absent .*closed" if code != 1006 else "6 of 8 users absent",
        "users absent",
        {ended: 6},
        may_fail="deliveries missed",  # with what is sent after the end of all streams
        users=2,
        due=LONG_DUE,
        accepted=LONG_DUE,
        planned=range(LONG_DUE, LONG_PLANNED + 1),
        delivered=range(LONG_DUE, LONG_PLANNED),
        run=LONG,
        role="reconnect: never,",
        sse={
            "codes": {"stream_broken" if ended == "close_1006" else "stream_ended": 6},
            "says": "6 of 8 users absent",
        },
    )


def standing_still(name: str, deployment: Deployment) -> Way:
    return Way(
        name,
        deployment,
        "not good enough",
        "fast",
        exit=Exit.THRESHOLD,
        due=LONG_DUE,
        accepted=LONG_DUE,
        planned=LONG_PLANNED,
        delivered=LONG_PLANNED,
        run=LONG,
        settle=EVERYTHING_COMES,
        limits=FAST,
    )


WAYS = [
    Way(
        "killed -9",
        how.signalled(signal.SIGKILL),
        "nobody was there in the end",
        "users absent sends unsent",
        may_fail="deliveries missed lost",
        codes={"close_1006": range(2, LONG_DUE + USERS + 1)},
        users=0,
        due=LONG_DUE,
        accepted=range(1, LONG_DUE),
        planned=range(1, LONG_PLANNED + 1),
        delivered=range(1, LONG_PLANNED + 1),
        run=LONG,
        sse={"codes": {"stream_broken": 8}},
    ),
    Way(
        "drained and not back",
        how.signalled(signal.SIGTERM),
        "nobody was there in the end",
        "users absent sends unsent",
        may_fail="deliveries missed lost",
        codes={"close_1012": range(2, LONG_DUE + USERS + 1)},
        users=0,
        due=LONG_DUE,
        accepted=range(1, LONG_DUE),
        planned=range(1, LONG_PLANNED + 1),
        delivered=range(1, LONG_PLANNED + 1),
        run=LONG,
        sse={"codes": {"stream_ended": 8}},
    ),
    *map(refusing, (503, 429, 401, 500)),
    Way(
        "never answers four of six readers",
        how.door(Door(some_readers, silent=True)),
        "4 of 8 users absent .no answer to the",
        "users absent deliveries missed",
        {"no_answer": 4},
        users=4,
        delivered=72,
    ),
    Way(
        "refuses connections",
        how.nobody_listens,
        "nobody got in .connection refused",
        "users absent sends unsent nothing",
        {"connection_refused": range(8 + 18, 45)},
        users=0,
        accepted=0,
        planned=0,
        delivered=0,
    ),
    Way(
        "leaves joins unanswered",
        how.door(Door(some_readers, confirms=False)),
        "4 of 8 users absent .the join was not confirmed",
        "users absent deliveries missed",
        {"join_unanswered": 4},
        users=4,
        delivered=72,
    ),
    Way(
        "refuses joins",
        how.door(Door(some_readers, join_error=True)),
        "4 of 8 users absent",
        "users absent deliveries missed",
        {"forbidden": 4},
        users=4,
        delivered=72,
        sse={"deployment": how.door(Door(some_readers, status=403)), "codes": {"http_403": 4}},
    ),
    *map(closing, (1000, 1001, 1006, 1011, 1013)),
    Way(
        "limits the rate",
        how.ours(rate_limit_per_s=1.0),
        r"\d+ of \d+ messages refused .rate_limited",
        "sends unsent",
        {"rate_limited": range(20, 36)},
        accepted=range(1, 16),
        planned=range(4, 64),
        delivered=range(4, 64),
        sse={
            "codes": {"http_429": range(5, 36)},
            "says": r"\d+ of \d+ messages refused .http_429",
            "accepted": range(1, 32),
            "planned": range(4, 125),
            "delivered": range(4, 125),
        },
    ),
    Way(
        "loses acknowledgements",
        how.faults(lambda: Faults({"mute": 1.0})),
        r"\d+ of \d+ messages not accepted .no acknowledgement came",
        "sends unsent",
        {"no_answer": range(18, 37)},
        accepted=0,
        planned=144,
        settle="1200ms",
    ),
    Way(
        "refuses to publish",
        how.faults(lambda: Faults({"refuse": 0.5})),
        r"\d+ of \d+ messages refused .unavailable",
        "sends unsent",
        {"unavailable": range(5, 31)},
        accepted=range(5, 31),
        planned=range(20, 125),
        delivered=range(20, 125),
        sse={"codes": {"http_503": range(5, 31)}, "says": r"\d+ of \d+ messages refused .http_503"},
    ),
    Way(
        "delivers what it refused",
        how.faults(lambda: Faults({"refuse": 0.5, "ghost": 1.0})),
        r"\d+ of \d+ messages refused .unavailable.*ghost",
        "sends unsent ghost deliveries",
        {"unavailable": range(5, 31)},
        accepted=range(5, 31),
        planned=range(20, 125),
        delivered=range(20, 125),
        sse={"codes": {"http_503": range(5, 31)}, "says": r"\d+ of \d+ messages refused .http_503.*ghost"},
    ),
    Way(
        "reaches a proxy's worker_connections",
        how.small_nginx,
        "users absent",
        "users absent",
        may_fail=ALL,
        users=range(1, 7),
        accepted=range(37),
        planned=range(145),
        delivered=range(145),
        system=True,
    ),
    Way(
        "takes three connections from an address",
        how.ours(address_connections=3),
        r"\d of 8 users absent",
        "users absent",
        may_fail=ALL,
        users=range(3, 7),  # workers have addresses of their own
        accepted=range(37),
        planned=range(145),
        delivered=range(145),
    ),
    Way(
        "has half of its rooms dead",
        how.faults(lambda: Faults({}, dead_rooms={"hall-1"})),
        r"\d+ deliveries missing",
        "deliveries lost",
        delivered=range(36, 109),
    ),
    Way(
        "has one instance of two dead",
        how.two_instances,
        "users absent",
        "users absent",
        may_fail=f"{ALL} lost",  # with what the dead one had accepted
        users=range(2, 7),
        due=LONG_DUE,
        accepted=range(LONG_DUE + 1),
        planned=range(1, LONG_PLANNED + 1),
        delivered=range(1, LONG_PLANNED + 1),
        run=LONG,
        settle="3s",
        role="reconnect: never,",
        system=True,
    ),
    Way(
        "alters texts",
        how.faults(lambda: Faults({}, change=lambda text: text + "?")),
        r"\d+ corrupt",
        "deliveries corrupt nothing",
        delivered=0,
    ),
    Way(
        "drops messages",
        how.faults(lambda: Faults({"drop": 0.2})),
        r"\d+ deliveries missing",
        "deliveries lost",
        delivered=range(90, 144),
    ),
    Way(
        "delivers messages twice",
        how.faults(lambda: Faults({"repeat": 0.2})),
        r"\d+ duplicate",
        "deliveries duplicate",
        settle=EVERYTHING_COMES,
    ),
    Way(
        "delivers messages out of order",
        how.faults(lambda: Faults({"swap": 0.2})),
        r"\d+ reordered",
        "deliveries reordered",
        settle=EVERYTHING_COMES,
        planned=range(72, 145),
        delivered=range(72, 145),
    ),
    Way(
        "delivers what nobody sent",
        how.faults(lambda: Faults({"phantom": 0.2})),
        r"\d+ phantom",
        "deliveries phantom",
        settle=EVERYTHING_COMES,
    ),
    standing_still("stands still", how.signalled(signal.SIGSTOP)),
    standing_still("has a network that stands still", how.stalled_network),
    replace(
        standing_still("is tested by a generator that stands still", how.stalled_generator),
        says="the load generator could not keep up",
        fails="fast inconclusive",
        exit=Exit.INCONCLUSIVE,
    ),
]
