"""Who is closed after a revocation, and how many are looked at in one turn."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from rtcli.protocol.codes import CloseCode
from rtcli_server.auth.claims import Principal
from rtcli_server.auth.revocations import Revocation, RevocationKind, RevokedTokens
from rtcli_server.connections.event_stream import EventStream
from rtcli_server.connections.hub import Client, Hub
from rtcli_server.limits.connection_caps import ConnectionCaps
from rtcli_server.metrics.registry import Metrics
from rtcli_server.realtime import revoked_clients
from rtcli_server.realtime.revoked_clients import SWEEP_S, RevokedClients

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000


class Stream(EventStream):
    """An event stream without a transport: it stays until it is told to go, and then is gone at once."""

    def __init__(self, hub: Hub, number: int, token_id: str | None, *, slow: bool) -> None:
        self.connection_id = f"c{number}"
        self.principal = Principal(f"u{number}", "Ann", NOW_MS / 1000 + 60, token_id=token_id)
        self.user_id = self.principal.user_id
        self.address = "192.0.2.1"
        self.reasons: list[str] = []
        self._hub = hub
        self._slow = slow

    @override
    def shut_down(self, code: CloseCode, reason: str, retry_after_ms: int | None) -> None:
        assert (code, retry_after_ms) == (CloseCode.KICKED, None)
        self.reasons.append(reason)
        if not self._slow:
            self._hub.remove(self)


@dataclass
class World:
    """A hub whose clients are looked through; `now` is in seconds."""

    now: float = 100.0
    streams: list[Stream] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.revoked = RevokedTokens(lambda: NOW_MS)
        self.clients = RevokedClients(lambda: self.hub, self.revoked)
        caps = ConnectionCaps(node=None, user=None, address=None, rng=random.Random(1))
        self.hub = Hub(caps, Metrics(lambda: 0.0, tick_s=0.1), observer=self.clients)

    def connect(self, token_id: str | None = None, *, slow: bool = False) -> Stream:
        stream = Stream(self.hub, len(self.streams), token_id, slow=slow)
        self.streams.append(stream)
        self.hub.add(stream)
        return stream

    def revoke(self, kind: RevocationKind, subject: str) -> None:
        revocation = Revocation(kind, subject, NOW_MS + HOUR_MS, before_ms=NOW_MS)
        self.revoked.add(revocation)
        self.clients.enforce(revocation, now=self.now)

    def tick(self, after_s: float = 0.1) -> None:
        self.now += after_s
        self.clients.tick(self.now)

    @property
    def reasons(self) -> list[list[str]]:
        return [stream.reasons for stream in self.streams]


@pytest.fixture
def world() -> World:
    return World()


def test_only_those_are_closed_whom_it_is_about(world: World) -> None:
    for name in ("a", "b", None, "a"):
        world.connect(name)
    world.tick()
    assert world.reasons == [[], [], [], []]
    world.revoke(RevocationKind.TOKEN, "a")
    world.tick()
    assert world.reasons == [["revoked"], [], [], ["revoked"]]
    world.revoke(RevocationKind.USER, "u1")
    world.tick(SWEEP_S)
    assert world.reasons == [["revoked"], ["revoked"], [], ["revoked"]]
    world.revoke(RevocationKind.AWAY, "u2")
    world.tick(SWEEP_S)
    assert world.reasons == [["revoked"], ["revoked"], ["kicked"], ["revoked"]]
    assert world.hub.is_kicked("u2", world.now), "a stream that resumes stays away"
    assert not world.hub.is_kicked("u1", world.now)


def test_one_that_was_admitted_before_and_entered_after_it_is_closed(world: World) -> None:
    world.revoke(RevocationKind.TOKEN, "a")
    world.tick()
    late = world.connect("a")
    assert late.reasons == [], "not before it is greeted"
    world.tick(SWEEP_S)
    assert late.reasons == ["revoked"]


def test_many_revocations_are_one_look_at_all(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    class Counted(RevokedTokens):
        @override
        def covers(self, principal: Principal) -> bool:
            looks.append(world.now)
            return super().covers(principal)

    monkeypatch.setattr(world.revoked, "__class__", Counted)
    for _ in range(100):
        world.connect("x")
    looks.clear()
    for number in range(1_000):
        world.revoke(RevocationKind.TOKEN, f"t{number}")
        world.tick(0.001)
    world.tick(SWEEP_S)
    assert len(looks) <= 100 * (1 / SWEEP_S + 2)


def test_many_clients_are_looked_at_in_pieces(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revoked_clients, "CHECKED_AT_ONCE", 10)
    monkeypatch.setattr(revoked_clients, "CLOSED_AT_ONCE", 4)
    for number in range(50):
        world.connect("a" if number % 2 else "b")
    world.revoke(RevocationKind.TOKEN, "a")
    closed = []
    for _ in range(12):
        before = len(world.hub.clients)
        world.tick(0.01)
        closed.append(before - len(world.hub.clients))
    assert max(closed) <= 4
    assert sum(closed) == 25
    assert world.reasons == [["revoked"] if number % 2 else [] for number in range(50)]


def test_one_that_goes_meanwhile_is_not_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revoked_clients, "CLOSED_AT_ONCE", 1)
    for _ in range(3):
        world.connect("a")
    world.revoke(RevocationKind.TOKEN, "a")
    world.tick()
    world.hub.remove(world.streams[1])
    for _ in range(3):
        world.tick()
    assert world.reasons == [["revoked"], [], ["revoked"]]


class Heartbeats(Client):
    """A client that needs no token."""

    connection_id, user_id, address, transport = "h", "", "192.0.2.1", "sse"

    @override
    def shut_down(self, code: CloseCode, reason: str, retry_after_ms: int | None) -> None:
        raise AssertionError(reason)

    @override
    def abort(self) -> None:
        raise AssertionError

    @property
    @override
    def waiting_bytes(self) -> int:
        return 0


def test_clients_without_a_token_are_none_of_it(world: World) -> None:
    world.hub.add(Heartbeats())
    world.revoke(RevocationKind.USER, "")
    world.tick()
    assert len(world.hub.clients) == 1
