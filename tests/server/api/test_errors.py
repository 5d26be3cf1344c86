"""Errors before a route is called, and the answers when the log fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from typing_extensions import override

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import Position
from rtcli_server.api import api_router, install_problem_handlers
from rtcli_server.auth.authenticator import Authenticator
from rtcli_server.auth.claims import Principal
from rtcli_server.auth.origins import OriginPolicy
from rtcli_server.auth.revocations import RevokedTokens
from rtcli_server.broker import BrokerUnavailableError, HistoryPage, Published, Retention, open_broker
from rtcli_server.broker.base import Broker
from rtcli_server.cluster.revocations import Revocations
from rtcli_server.metrics.registry import Metrics
from rtcli_server.process.runner import ServerHandle, running_server
from rtcli_server.realtime.audience import NOBODY, Queued
from rtcli_server.settings import Settings
from rtcli_server.timing.clock import Clock
from tests.support.clients.http_api import Clients, assert_problem, token_for
from tests.support.forged_tokens import SECRET, forge

MESSAGES = "/api/v1/rooms/general/messages"


@pytest.mark.parametrize("token", ["x", "a.b.c", "x" * 5000])
async def test_all_bad_tokens_get_the_same_answer(clients: Clients, token: str) -> None:
    bodies = set()
    for method, path in (("GET", MESSAGES), ("POST", MESSAGES), ("DELETE", "/api/v1/users/7/connections")):
        answer = await (await clients(token)).request(method, path, content=b"not even JSON")
        assert_problem(answer, 401, "invalid_token")
        bodies.add(answer.text)
    expired = await (await clients(forge(exp=1))).get(MESSAGES)
    none = await (await clients()).get(MESSAGES)
    assert bodies == {expired.text, none.text}


async def test_the_token_is_checked_before_the_body(clients: Clients) -> None:
    answer = await (await clients("x")).post(MESSAGES, content=b"x" * 200_000)
    assert_problem(answer, 401, "invalid_token")


async def test_tokens_in_two_places(ann: httpx.AsyncClient, clients: Clients) -> None:
    assert_problem(await ann.get(MESSAGES, params={"token": token_for("8")}), 400, "invalid_token")
    assert (await (await clients()).get(MESSAGES, params={"token": token_for()})).status_code == 200


async def test_origins(server: ServerHandle, ann: httpx.AsyncClient, clients: Clients) -> None:
    assert_problem(await ann.get(MESSAGES, headers={"origin": "https://evil.example"}), 403, "forbidden")
    assert_problem(await ann.get(MESSAGES, headers={"origin": "null"}), 403, "forbidden")
    own = {"origin": server.url}
    assert (await ann.get(MESSAGES, headers=own)).status_code == 200
    cookie = {"cookie": f"rt_token={token_for()}"}
    anybody = await clients()
    assert_problem(await anybody.get(MESSAGES, headers=cookie), 401, "invalid_token")
    assert (await anybody.get(MESSAGES, headers=cookie | own)).status_code == 200


async def test_unknown_paths_and_methods(ann: httpx.AsyncClient) -> None:
    assert_problem(await ann.get("/api/v1/nothing"), 404, "not_found")
    assert_problem(await ann.get("/nothing"), 404, "not_found")
    answer = await ann.put("/api/v1/rooms")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"
    answer = await ann.put(MESSAGES)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"


async def test_too_many_requests() -> None:
    async with (
        running_server(Settings(port=0, secrets=(SECRET,), rate_limit_per_s=0.2)) as server,
        httpx.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {token_for()}"}) as client,
        httpx.AsyncClient(
            base_url=server.url, headers={"Authorization": f"Bearer {token_for('8')}"}
        ) as other,
    ):
        parts = [{"room": "a", "content": str(number)} for number in range(4)]
        results = (await client.post("/api/v1/batch", json={"publications": parts})).json()["results"]
        statuses = [result["status"] for result in results]
        assert statuses == [201, 201, 429, 429]
        assert results[3]["retry_after_ms"] >= 1
        assert_problem(await client.get(MESSAGES), 429, "rate_limited")
        assert (await other.get(MESSAGES)).status_code == 200


# -- row P3: the log ---------------------------------------------------------------------------------------


class BrokenBroker:
    """A log in memory that fails as it is told."""

    def __init__(self, good: Broker) -> None:
        self.good = good
        self.fault: str = ""

    def publish(
        self,
        channel: str,
        event: str,
        data: bytes,
        *,
        key: str | None = None,
        time_ms: int,
        exclude: Exclusion | None = None,
    ) -> asyncio.Future[Published]:
        future: asyncio.Future[Published] = asyncio.get_running_loop().create_future()
        if self.fault in {"down", "unconfirmed"}:
            maybe = self.fault == "unconfirmed"
            future.set_exception(BrokerUnavailableError("the log is down", maybe_published=maybe))
            return future
        if self.fault == "silent":
            return future
        return self.good.publish(channel, event, data, key=key, time_ms=time_ms, exclude=exclude)

    async def history(self, channel: str, *, since: Position | None, limit: int) -> HistoryPage:
        if self.fault == "down":
            raise BrokerUnavailableError("the log is down")
        if self.fault == "silent":
            await asyncio.Event().wait()
        if self.fault == "bug":
            raise RuntimeError("token=canary-9")
        return await self.good.history(channel, since=since, limit=limit)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the rest is the good one's
        return getattr(self.good, name)


class Nobody:
    def __init__(self) -> None:
        self.clients: dict[str, object] = {}

    async def members(self, room: str) -> tuple[list[Any], int]:
        del room
        return [], 0

    async def counts(self) -> dict[str, int]:
        return {}

    async def kick(self, user_id: str, stay_away_s: float) -> int:
        del user_id, stay_away_s
        return 0

    async def refresh_elsewhere(self, connection_id: str, principal: Principal) -> bool:
        del connection_id, principal
        return False

    def tell(self, connection_id: str, event: str, data: bytes) -> asyncio.Future[Published] | None:
        del connection_id, event, data
        return None

    def of(self, channel: str, exclude: Exclusion | None) -> Queued:
        del channel, exclude
        return NOBODY


@dataclass
class Services:
    broker: Any
    gate: None = None
    authenticator: Authenticator = field(default_factory=lambda: Authenticator(secrets=[SECRET]))
    origins: OriginPolicy = field(default_factory=OriginPolicy)
    hub: Nobody = field(default_factory=Nobody)
    rooms: Nobody = field(default_factory=Nobody)
    commands: Nobody = field(default_factory=Nobody)
    audience: Nobody = field(default_factory=Nobody)
    clock: Clock = field(default_factory=lambda: Clock(lambda: 0.0))
    metrics: Metrics = field(default_factory=lambda: Metrics(lambda: 0.0, tick_s=1.0))
    revocations: Revocations = field(init=False)

    def __post_init__(self) -> None:
        revoked = RevokedTokens(self.clock.wall_ms)
        self.revocations = Revocations(
            self.broker, revoked, enforce=lambda _: None, wall_ms=self.clock.wall_ms
        )

    def retry_after_ms(self) -> int:
        return 0


@pytest.fixture
async def broken() -> BrokenBroker:
    return BrokenBroker(open_broker("memory:", Retention()))


@pytest.fixture
async def embedded(broken: BrokenBroker) -> httpx.AsyncClient:
    return api_of(Services(broken))


def api_of(services: Services, *, scope: str = "") -> httpx.AsyncClient:
    """The API alone in an application, with short timeouts."""
    app = FastAPI()
    app.include_router(api_router(services, rates=None, log_timeout_s=0.05))
    install_problem_handlers(app)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {token_for(scope=scope)}"}
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)


Ask = Callable[[httpx.AsyncClient], Any]


@pytest.mark.parametrize("fault", ["down", "silent"])
async def test_a_log_that_fails(broken: BrokenBroker, embedded: httpx.AsyncClient, fault: str) -> None:
    broken.fault = fault
    assert_problem(await embedded.post(MESSAGES, json={"content": "x", "id": "1"}), 503, "unavailable")
    part = {"room": "a", "content": "x"}
    answer = await embedded.post("/api/v1/batch", json={"publications": [part]})
    assert answer.json()["results"][0]["status"] == 503
    assert_problem(await embedded.get(MESSAGES), 503, "unavailable")
    broken.fault = ""
    assert (await embedded.post(MESSAGES, json={"content": "x", "id": "1"})).status_code == 201


SURE = "The log cannot take this now; nothing was published, try again"
WITH_ID = "Not confirmed: repeat it with the same id"
WITHOUT = "Not confirmed: it may have been published, and a repeat without an id comes twice"


@pytest.mark.parametrize(
    ("fault", "with_id", "without"),
    [("down", SURE, SURE), ("silent", WITH_ID, WITHOUT), ("unconfirmed", WITH_ID, WITHOUT)],
)
async def test_unavailable_claims_no_more_than_is_known(
    broken: BrokenBroker, embedded: httpx.AsyncClient, fault: str, with_id: str, without: str
) -> None:
    broken.fault = fault
    embedded.headers["Authorization"] = f"Bearer {token_for(scope='publish')}"
    for more, detail in (({"id": "1"}, with_id), ({}, without)):
        assert (await embedded.post(MESSAGES, json={"content": "x", **more})).json()["detail"] == detail
        event = {"event": "news", "data": {}, **more}
        assert (await embedded.post("/api/v1/events", json=event)).json()["detail"] == detail
        parts = {"publications": [{"room": "a", "content": "x", **more}]}
        [result] = (await embedded.post("/api/v1/batch", json=parts)).json()["results"]
        assert (result["code"], result["detail"]) == ("unavailable", detail)


class Elsewhere(Nobody):
    """Every connection is on an instance behind this log."""

    def __init__(self, broken: BrokenBroker) -> None:
        super().__init__()
        self._broken = broken

    @override
    def tell(self, connection_id: str, event: str, data: bytes) -> asyncio.Future[Published]:
        return self._broken.publish(f"direct:{connection_id}", event, data, time_ms=0)


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        ("down", "Its instance cannot be reached now; nothing was sent"),
        ("silent", "Not confirmed: it may have been sent"),
        ("unconfirmed", "Not confirmed: it may have been sent"),
    ],
)
async def test_an_event_for_a_connection_that_cannot_be_reached(
    broken: BrokenBroker, fault: str, detail: str
) -> None:
    async with api_of(Services(broken, commands=Elsewhere(broken)), scope="publish") as client:
        path, event = "/api/v1/connections/there/events", {"event": "x"}
        assert (await client.post(path, json=event)).json() == {"queued": {"here": 0}}
        broken.fault = fault
        answer = await client.post(path, json=event)
        assert_problem(answer, 503, "unavailable")
        assert answer.json()["detail"] == detail
        parts = {"publications": [{"connection": "there", **event}, {"event": "ready"}]}
        first, second = (await client.post("/api/v1/batch", json=parts)).json()["results"]
        assert (first["status"], first["detail"], second["status"]) == (503, detail, 400)


async def test_a_repeat_that_cannot_be_compared_was_published(
    broken: BrokenBroker, embedded: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"content": "x", "id": "1"}
    assert (await embedded.post(MESSAGES, json=body)).status_code == 201

    async def away(*_: object, **__: object) -> None:
        raise BrokerUnavailableError("the log is down")

    monkeypatch.setattr(broken, "history", away)
    assert (await embedded.post(MESSAGES, json=body)).json()["detail"] == WITH_ID


async def test_a_bug_reveals_nothing(broken: BrokenBroker, embedded: httpx.AsyncClient) -> None:
    broken.fault = "bug"
    answer = await embedded.get(MESSAGES)
    assert_problem(answer, 500, "internal")
    assert "canary" not in answer.text
