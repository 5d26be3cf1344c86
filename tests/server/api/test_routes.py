"""Every route of the whole server needs a token, and the OpenAPI document describes the API."""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.routing import BaseRoute, Route, WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from rtcli_server.app import create_app
from rtcli_server.process.runner import ServerHandle
from rtcli_server.settings import Settings
from rtcli_server.transports.websocket.asgi_endpoint import PATHS
from tests.support.clients.http_api import Clients, assert_problem, token_for
from tests.support.forged_tokens import SECRET

# Open to everybody: health, metrics, the OpenAPI document, the page, heartbeats without content.
PUBLIC = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/api/v1/sse/stream"}
STREAMS = {"/api/v1/sse/stream"}
SLASHES = "/{path:path}/"  # answers 404, so that the framework does not redirect
PAGE = {"/", "/page.css", "/page.js", "/rtclient.js", "/favicon.svg"}


def leaves(routes: list[BaseRoute]) -> Iterator[BaseRoute]:
    for route in routes:
        inner = getattr(route, "routes", None)
        original = getattr(route, "original_router", None)
        if original is not None:
            yield from leaves(original.routes)
        elif inner and not isinstance(route, Route):
            yield from leaves(inner)
        else:
            yield route


def paths_of(kind: type[Route | WebSocketRoute]) -> list[Any]:
    app = create_app(Settings(secrets=(SECRET,)))
    return [route for route in leaves(app.routes) if isinstance(route, kind)]


def fill(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "x", path)


def test_the_walk_finds_the_routes() -> None:
    found = {route.path for route in paths_of(Route)}
    assert {"/api/v1/rooms", "/api/v1/events/stream", "/healthz", "/api/v1/batch"} <= found
    assert {"/api/v1/ws", "/api/v1/ws/v2"} <= {route.path for route in paths_of(WebSocketRoute)}


@pytest.mark.parametrize("token", [None, "x", "expired"])
async def test_no_route_is_open_by_mistake(clients: Clients, token: str | None) -> None:
    client = await clients(token_for(ttl_s=-60) if token == "expired" else token)
    checked = 0
    for route in paths_of(Route):
        if route.path in PUBLIC | PAGE | {SLASHES}:
            continue
        for method in sorted((route.methods or set()) - {"HEAD"}):
            answer = await client.request(method, fill(route.path), content=b"{}")
            if route.path in PATHS:  # of WebSockets, which the next test opens
                assert_problem(answer, 426, "upgrade_required")
                continue
            assert_problem(answer, 401, "invalid_token")
            checked += 1
    assert checked >= 11


async def test_no_websocket_is_open_by_mistake(server: ServerHandle) -> None:
    for route in paths_of(WebSocketRoute):
        url = f"ws://127.0.0.1:{server.port}{fill(route.path)}"
        try:
            async with connect(url, proxy=None) as socket:
                # It is accepted only to be closed with a reason that a browser can read.
                async with asyncio.timeout(20):
                    await socket.wait_closed()
                assert socket.close_code == 1008
                assert socket.close_reason is not None
                assert socket.close_reason.startswith("invalid_token")
        except InvalidStatus as error:
            assert error.response.status_code == 404  # noqa: PT017 - one of two right answers


async def test_public_routes_answer_without_a_token(clients: Clients) -> None:
    client = await clients()
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert (await client.get(path)).status_code == 200


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return create_app(Settings(secrets=(SECRET,))).openapi()


API = [
    ("post", "/api/v1/rooms/{room}/messages"),
    ("get", "/api/v1/rooms/{room}/messages"),
    ("get", "/api/v1/rooms"),
    ("get", "/api/v1/rooms/{room}/members"),
    ("post", "/api/v1/users/{user_id}/events"),
    ("post", "/api/v1/events"),
    ("post", "/api/v1/batch"),
    ("delete", "/api/v1/users/{user_id}/connections"),
    ("post", "/api/v1/streams/{connection_id}/refresh"),
]


@pytest.mark.parametrize(("method", "path"), API)
def test_the_description_of_each_route(document: dict[str, Any], method: str, path: str) -> None:
    operation = document["paths"][path][method]
    assert operation["description"]
    assert operation["tags"]
    assert operation["security"]
    answers = operation["responses"]
    assert "422" not in answers
    assert {"400", "401", "429", "default"} <= set(answers)
    for status, answer in answers.items():
        expected = "application/json" if status.startswith("2") else "application/problem+json"
        assert list(answer["content"]) == [expected]
    if method == "post" and "refresh" not in path:
        assert list(operation["requestBody"]["content"]) == ["application/json"]


def test_the_description_names_the_ways_to_authenticate(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert schemes["HTTPBearer"]["scheme"] == "bearer"


async def test_head_and_options(clients: Clients) -> None:
    client: httpx.AsyncClient = await clients(token_for())
    api = ("/api/v1/rooms", "/api/v1/rooms/general/messages", "/api/v1/rooms/general/members")
    for path in (*api, *sorted(PUBLIC - STREAMS), *PAGE):
        head, get = await client.head(path), await client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
    assert (await (await clients()).head("/api/v1/rooms")).status_code == 401
    assert (await client.options("/api/v1/rooms")).status_code == 405
