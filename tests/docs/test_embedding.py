"""The example of docs/embedding.md runs on a plain ASGI server."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets

from tests.support.clients.embedded import connected
from tests.support.paths import ROOT
from tests.support.servers.foreign_server import ASGI_SERVERS, application

PAGE = ROOT / "docs" / "embedding.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(params=ASGI_SERVERS)
def port(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    """The example under an ASGI server that is not ours."""
    with application(tmp_path, EXAMPLES[0], request.param) as running:
        yield running.port


def token() -> str:
    names: dict[str, str] = {}
    secret = re.search(r"^SECRET = .*$", EXAMPLES[0], re.MULTILINE)
    assert secret is not None
    exec(f"{secret[0]}\n{EXAMPLES[1]}", names)  # noqa: S102 - our own page
    return names["token"]


async def test_the_example_serves_rooms_and_streams(port: int) -> None:
    good = token()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        assert (await http.get("/")).json() == {"chat": "/api/v1/ws"}
        url = f"ws://127.0.0.1:{port}/api/v1/ws?token={good}"
        headers = {"Authorization": f"Bearer {good}"}
        async with (
            websockets.connect(url) as ws,
            http.stream("GET", "/api/v1/events/stream?room=a", headers=headers) as stream,
        ):
            assert json.loads(await ws.recv())["type"] == "pong"
            await ws.send('{"type":"join_room","data":{"room":"a"}}')
            assert json.loads(await ws.recv())["type"] == "room_joined"
            events = stream.aiter_text()
            assert "event: ready" in await anext(events)
            await ws.send('{"type":"chat_message","data":{"room":"a","content":"hello"}}')
            assert json.loads(await ws.recv())["data"]["content"] == "hello"
            async with asyncio.timeout(10):
                assert '"content":"hello"' in await anext(events)
        with pytest.raises(websockets.ConnectionClosed) as refused:
            async with websockets.connect(f"ws://127.0.0.1:{port}/api/v1/ws") as ws:
                await ws.recv()
        assert refused.value.rcvd is not None
        assert refused.value.rcvd.code == 1008


@pytest.mark.parametrize("server", ASGI_SERVERS)
async def test_twenty_lines_refuse_a_join_and_send_to_a_user(tmp_path: Path, server: str) -> None:
    program = EXAMPLES[2]
    assert len([line for line in program.splitlines() if line.strip()]) <= 20
    with application(tmp_path, program, server) as running:
        async with connected(running.port, token(), query="&events=1") as client:
            refused = await client.ask("join_room", room="club")
            assert refused["data"] == {"code": "forbidden", "message": "Members only"}
            assert (await client.ask("join_room", room="general"))["type"] == "room_joined"
            async with httpx.AsyncClient(base_url=running.url, trust_env=False) as http:
                position = (await http.post("/orders/7")).json()
            event = (await client.until("event"))["data"]
            assert (event["event"], event["data"]) == ("order.paid", {"order": 42})
            assert position == f"{event['epoch']}-{event['offset']}"
