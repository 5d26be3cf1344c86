"""Clients of the HTTP API, tokens of all kinds for them, and what every error answer has."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import Any

import httpx

from rtcli.protocol.tokens import RoomGrant, create_token
from tests.support.forged_tokens import SECRET

Json = dict[str, Any]


def token_for(
    sub: str = "7",
    *,
    scope: str | None = None,
    rooms: list[RoomGrant] | None = None,
    name: str | None = "Ann",
    ttl_s: float = 3_600,  # some are made when a module is imported: longer than a run of all tests
) -> str:
    return create_token(SECRET, sub=sub, now=time.time(), ttl_s=ttl_s, name=name, scope=scope, rooms=rooms)


class Clients:
    """Makes HTTP clients for one server and closes them at the end."""

    def __init__(self, stack: AsyncExitStack, base_url: str) -> None:
        self._stack = stack
        self._base_url = base_url

    async def __call__(self, token: str | None = None) -> httpx.AsyncClient:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        client = httpx.AsyncClient(base_url=self._base_url, headers=headers, trust_env=False, timeout=30)
        return await self._stack.enter_async_context(client)


def assert_problem(response: httpx.Response, status: int, code: str) -> Json:
    """Every error is a problem+json with the same members; gives its body."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: Json = response.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["title"]
    assert body["detail"]
    if status == 401:
        assert response.headers["www-authenticate"].startswith("Bearer")
    if status in {429, 503}:
        assert int(response.headers["retry-after"]) >= 1
        assert body["retry_after_ms"] >= 1
    return body
