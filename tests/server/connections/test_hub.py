"""The registry of clients: by user, kicked, observed; and the drain that empties it."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from typing_extensions import override

from rtcli.protocol.codes import CloseCode
from rtcli_server.auth.revocations import MAX_REVOCATIONS
from rtcli_server.connections.drain import MIN_BATCH, PAUSE_S, batch_size, drain
from rtcli_server.connections.hub import Client, Hub
from rtcli_server.limits.connection_caps import ConnectionCaps
from rtcli_server.metrics.registry import Metrics

_numbers = itertools.count()


class FakeClient(Client):
    """A client that closes when told, later, or never."""

    transport = "websocket"

    @property
    @override
    def waiting_bytes(self) -> int:
        return 0

    def __init__(self, hub: Hub, user_id: str = "7", *, answers: bool = True, raises: bool = False) -> None:
        self.connection_id = f"c{next(_numbers)}"
        self.user_id = user_id
        self.address = "192.0.2.1"
        self.told: list[tuple[CloseCode, int | None]] = []
        self.aborted = False
        self._hub = hub
        self._answers = answers
        self._raises = raises
        hub.add(self)

    @override
    def shut_down(self, code: CloseCode, reason: str, retry_after_ms: int | None) -> None:
        if self._raises:
            raise RuntimeError("no transport")
        self.told.append((code, retry_after_ms))
        if self._answers:
            asyncio.get_running_loop().call_soon(self._hub.remove, self)

    @override
    def abort(self) -> None:
        self.aborted = True
        self._hub.remove(self)


@pytest.fixture
def hub() -> Hub:
    caps = ConnectionCaps(node=None, user=None, address=None, rng=random.Random(1))
    return Hub(caps, Metrics(lambda: 0.0, tick_s=0.1))


async def test_clients_are_counted_and_found_by_user(hub: Hub) -> None:
    first, second, other = FakeClient(hub), FakeClient(hub), FakeClient(hub, "8")
    assert set(hub.of_user("7")) == {first, second}
    assert (hub.caps.count, hub.user_count) == (3, 2)
    hub.remove(first)
    hub.remove(first)
    hub.remove(second)
    assert hub.of_user("7") == ()
    assert (hub.caps.count, hub.user_count) == (1, 1)
    hub.remove(other)
    assert not hub.clients


async def test_a_kick_is_for_good(hub: Hub) -> None:
    clients = [FakeClient(hub), FakeClient(hub), FakeClient(hub, "8")]
    assert hub.kick("7") == 2
    assert hub.kick("nobody") == 0
    assert [client.told for client in clients] == [[(CloseCode.KICKED, None)], [(CloseCode.KICKED, None)], []]


async def test_one_that_is_cut_off_is_closed_as_slow_and_aborted(hub: Hub) -> None:
    client = FakeClient(hub)
    client.cut_off()
    assert (client.told, client.aborted) == ([(CloseCode.SLOW_CONSUMER, 0)], True)


async def test_one_that_is_cut_off_is_aborted_whatever_it_raises(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    failing = FakeClient(hub, raises=True)
    failing.cut_off()
    assert failing.aborted
    assert "RuntimeError: no transport" in caplog.text


async def test_the_observer_is_told_after_the_client_was_counted() -> None:
    caps = ConnectionCaps(node=None, user=None, address=None, rng=random.Random(1))
    told: list[tuple[str, str, int]] = []

    class Observer:
        def opened(self, connection: Client) -> None:
            told.append(("opened", connection.connection_id, caps.count_of(connection.user_id)))

        def closed(self, connection: Client) -> None:
            told.append(("closed", connection.connection_id, caps.count_of(connection.user_id)))

    hub = Hub(caps, Metrics(lambda: 0.0, tick_s=0.1), observer=Observer())
    client = FakeClient(hub)
    hub.remove(client)
    hub.remove(client)
    assert told == [("opened", client.connection_id, 1), ("closed", client.connection_id, 0)]


def test_all_batches_fit_into_the_time() -> None:
    for count, spread_s in ((0, 1.0), (50, 1.0), (2_500, 3.0), (100_000, 3.0)):
        size = batch_size(count, spread_s)
        assert size >= MIN_BATCH
        assert -(-count // size) * PAUSE_S <= spread_s + PAUSE_S


async def test_a_drain_tells_each_a_delay_of_its_own(hub: Hub) -> None:
    clients = [FakeClient(hub) for _ in range(250)]
    delays = itertools.count(1)
    assert await drain(hub, timeout_s=10.0, retry_after_ms=lambda: next(delays)) == 0
    told = [client.told for client in clients]
    assert sorted(told) == [[(CloseCode.SERVICE_RESTART, number)] for number in range(1, 251)]
    assert hub.draining
    assert not any(client.aborted for client in clients)


async def test_who_does_not_answer_is_cut_and_a_failure_stops_nobody(hub: Hub) -> None:
    silent, failing, good = FakeClient(hub, answers=False), FakeClient(hub, raises=True), FakeClient(hub)
    assert await drain(hub, timeout_s=0.3, retry_after_ms=lambda: 1) == 1
    assert silent.aborted
    assert failing.aborted
    assert good.told
    assert not good.aborted


async def test_who_was_kicked_last_stays_away_longest(hub: Hub) -> None:
    hub.remember_kick("7", now=0.0)
    hub.remember_kick("8", now=10.0)
    hub.remember_kick("7", now=20.0)
    hub.remember_kick("9", now=75.0)  # 8 is over
    assert [hub.is_kicked(user, 75.0) for user in ("7", "8", "9")] == [True, False, True]
    assert not hub.is_kicked("7", 80.0)


async def test_as_many_as_may_be_revoked_are_kicked_at_a_time(hub: Hub) -> None:
    for number in range(MAX_REVOCATIONS):  # each looks at no other: or else this takes minutes
        hub.remember_kick(f"user-{number}", now=0.0)
    assert hub.is_kicked("user-0", 59.0)


async def test_a_kick_closes_all_of_a_user_whatever_one_of_them_raises(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    first, failing, last = FakeClient(hub), FakeClient(hub, raises=True), FakeClient(hub)
    assert hub.kick("7") == 3
    assert first.told == last.told == [(CloseCode.KICKED, None)]
    assert failing.aborted
    assert "RuntimeError: no transport" in caplog.text


async def test_all_are_cut_whatever_one_of_them_raises(
    hub: Hub, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("no transport")

    first, failing, last = (FakeClient(hub) for _ in range(3))
    monkeypatch.setattr(failing, "abort", fail)
    assert hub.abort_all() == 3
    assert first.aborted
    assert last.aborted
    assert "RuntimeError: no transport" in caplog.text


async def test_an_empty_server_drains_at_once(hub: Hub) -> None:
    async with asyncio.timeout(5):
        assert await drain(hub, timeout_s=60.0, retry_after_ms=lambda: 1) == 0
