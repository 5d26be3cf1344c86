"""HEAD, `Allow` and slashes, in our own application and in somebody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp

from rtcli_server.app import create_app, realtime_router
from rtcli_server.settings import Settings
from tests.support.clients.http_api import token_for
from tests.support.forged_tokens import SECRET

HEADERS = {"Authorization": f"Bearer {token_for()}"}
WS = {"/api/v1/ws", "/api/v1/ws/v2"}


def settings() -> Settings:
    return Settings(secrets=(SECRET,))


def embedded() -> FastAPI:
    app = FastAPI()
    app.include_router(realtime_router(settings()))

    @app.get("/api/v1/rooms/theirs/")  # whatever we have below /api/v1, this is the application's own
    async def theirs() -> str:
        return "theirs"

    return app


def with_prefix() -> FastAPI:
    app = FastAPI()
    app.include_router(realtime_router(settings()), prefix="/deep")
    return app


APPLICATIONS: dict[str, tuple[Callable[[], ASGIApp], str]] = {
    "our own": (lambda: create_app(settings()), ""),
    "embedded": (embedded, ""),
    "with a prefix": (with_prefix, "/deep"),
}


@asynccontextmanager
async def client_of(app: ASGIApp, prefix: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(
        transport=transport, base_url=f"http://evil.example{prefix}", headers=HEADERS
    ) as client:
        yield client


@pytest.fixture(params=APPLICATIONS)
async def client(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    make, prefix = APPLICATIONS[request.param]
    async with client_of(make(), prefix) as client:
        yield client


@pytest.mark.parametrize("path", ["/api/v1/rooms/a/messages", "/healthz", "/metrics"])
async def test_head_is_answered_as_get(client: httpx.AsyncClient, path: str) -> None:
    get, head = await client.get(path), await client.head(path)
    assert (get.status_code, head.status_code) == (200, 200)
    assert head.headers["content-type"] == get.headers["content-type"]
    assert "content-length" in head.headers


async def test_head_has_the_checks_of_get(client: httpx.AsyncClient) -> None:
    head = await client.head("/api/v1/rooms", headers={"Authorization": "Bearer x"})
    assert head.status_code == 401
    assert (
        await client.head("/api/v1/events/stream", headers={"Authorization": "Bearer x"})
    ).status_code == 401


ALLOWED = {
    "/api/v1/rooms": "GET, HEAD",
    "/api/v1/rooms/a/messages": "GET, HEAD, POST",
    "/api/v1/batch": "POST",
    "/api/v1/users/7/connections": "DELETE",
    "/api/v1/events/stream": "GET, HEAD",
    "/api/v1/ws": "GET, HEAD",
    "/healthz": "GET, HEAD",
}


@pytest.mark.parametrize(("path", "methods"), ALLOWED.items())
async def test_405_names_all_methods(client: httpx.AsyncClient, path: str, methods: str) -> None:
    answer = await client.request("PATCH", path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == methods
    assert answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", [*ALLOWED, "/api/v1/rooms/a/members"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_a_slash_at_the_end_is_not_redirected(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    """The redirect would go to the Host that was sent, and repeat the token."""
    answer = await client.request(method, f"{path}/?token={token_for()}")
    assert answer.status_code == 404
    assert "location" not in answer.headers


@pytest.mark.parametrize("path", sorted(WS))
async def test_a_path_of_websockets_asks_for_one(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 426
    assert answer.headers["upgrade"] == "websocket"
    assert answer.headers["connection"] == "upgrade"


async def test_an_application_keeps_its_own_paths() -> None:
    async with client_of(embedded(), "") as client:
        assert (await client.get("/api/v1/rooms/theirs/")).text == '"theirs"'
        assert (await client.get("/api/v1/rooms/theirs")).status_code == 307  # its router's own habit
