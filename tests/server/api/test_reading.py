from __future__ import annotations

import json

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from rtcli_server.process.runner import ServerHandle, running_server
from rtcli_server.settings import Settings
from tests.support.clients.http_api import Clients, Json, assert_problem, token_for
from tests.support.forged_tokens import SECRET

MESSAGES = "/api/v1/rooms/general/messages"


async def publish(client: httpx.AsyncClient, count: int) -> str:
    """Publish `m1` to `m<count>`, and return the epoch."""
    epoch = ""
    for number in range(1, count + 1):
        answer = await client.post(MESSAGES, json={"content": f"m{number}", "id": str(number)})
        assert answer.status_code == 201
        epoch = answer.json()["epoch"]
    return epoch


async def read(client: httpx.AsyncClient, **query: str | int) -> Json:
    answer = await client.get(MESSAGES, params=query)
    assert answer.status_code == 200, answer.text
    page: Json = answer.json()
    return page


def contents(page: Json) -> list[str]:
    return [message["content"] for message in page["messages"]]


async def test_the_newest_and_the_next(ann: httpx.AsyncClient) -> None:
    epoch = await publish(ann, 5)
    page = await read(ann, limit=2)
    assert contents(page) == ["m4", "m5"]
    assert page["messages"][0] == {
        "room": "general",
        "content": "m4",
        "sender_id": 7,
        "sender_name": "Ann",
        "timestamp": page["messages"][0]["timestamp"],
        "id": "4",
        "offset": 4,
        "epoch": epoch,
    }
    assert (page["top"], page["next"], page["more"]) == (f"{epoch}-5", f"{epoch}-5", False)
    assert (page["recovered"], page["reason"]) == (None, None)


async def test_page_after_page(ann: httpx.AsyncClient) -> None:
    epoch = await publish(ann, 5)
    seen: list[str] = []
    since = f"{epoch}-0"
    for _ in range(3):
        page = await read(ann, since=since, limit=2)
        assert page["recovered"]
        assert page["more"] == (len(seen) < 3)
        seen += contents(page)
        since = page["next"]
    assert seen == ["m1", "m2", "m3", "m4", "m5"]
    page = await read(ann, since=since)
    assert (contents(page), page["next"], page["recovered"], page["more"]) == ([], since, True, False)


async def test_a_long_page_comes_in_pieces_and_is_whole(ann: httpx.AsyncClient) -> None:
    epoch = ""
    text = "é" * 3_000
    for number in range(150):
        answer = await ann.post(MESSAGES, json={"content": f"{number} {text}"})
        epoch = answer.json()["epoch"]
    for query, first, last in (
        ({"limit": 500}, 0, 150),
        ({"limit": 120}, 30, 150),  # more than is read at once
        ({"since": f"{epoch}-10", "limit": 120}, 10, 130),
        ({"since": f"{epoch}-10", "limit": 500}, 10, 150),
        ({"since": f"{epoch}-149"}, 149, 150),
    ):
        page = await read(ann, **query)
        assert contents(page) == [f"{number} {text}" for number in range(first, last)]
        assert [message["offset"] for message in page["messages"]] == list(range(first + 1, last + 1))
        assert (page["top"], page["next"]) == (f"{epoch}-150", f"{epoch}-{last}")
        assert page["more"] == (last < 150)
        assert page["recovered"] == (True if "since" in query else None)


async def test_an_empty_room(ann: httpx.AsyncClient) -> None:
    page = await read(ann)
    assert (page["messages"], page["more"]) == ([], False)
    assert page["top"].endswith("-0")
    assert (await read(ann, since=page["top"]))["recovered"]


async def test_positions_that_cannot_be_resumed(ann: httpx.AsyncClient) -> None:
    epoch = await publish(ann, 2)
    for since, reason in (("zzzz-1", "epoch_changed"), (f"{epoch}-3", "future")):
        page = await read(ann, since=since)
        assert (contents(page), page["recovered"], page["reason"]) == ([], False, reason)
        assert (page["next"], page["more"]) == (f"{epoch}-2", False)


async def test_trimmed_messages_are_reported() -> None:
    settings = Settings(port=0, secrets=(SECRET,), history_size=2, rate_limit_per_s=None)
    async with (
        running_server(settings) as server,
        httpx.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {token_for()}"}) as client,
    ):
        epoch = await publish(client, 5)
        page = await read(client, since=f"{epoch}-1")
        assert (contents(page), page["recovered"], page["reason"]) == (["m4", "m5"], False, "trimmed")
        assert (await read(client, since=f"{epoch}-3"))["recovered"]


@pytest.mark.parametrize("budget", [{"history_channel_bytes": 1_500}, {"history_total_bytes": 4_000}])
async def test_messages_over_the_budget_in_bytes_are_reported(budget: dict[str, int]) -> None:
    settings = Settings.model_validate({"port": 0, "secrets": (SECRET,), **budget})
    async with (
        running_server(settings) as server,
        httpx.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {token_for()}"}) as client,
    ):
        epoch = await publish(client, 30)
        page = await read(client, since=f"{epoch}-1")
        kept = contents(page)
        assert (kept, page["reason"]) == ([f"m{n}" for n in range(31 - len(kept), 31)], "trimmed")
        assert 0 < len(kept) < 10


async def test_reading_needs_the_right_to_join(clients: Clients) -> None:
    writer = await clients(token_for(rooms=[{"match": "*", "can": ["publish"]}]))
    for path in (MESSAGES, "/api/v1/rooms/general/members"):
        assert_problem(await writer.get(path), 403, "forbidden")
    assert_problem(await writer.get("/api/v1/rooms/a%09b/members"), 400, "invalid_room")


async def joined(server: ServerHandle, sub: str, *rooms: str) -> ClientConnection:
    token = token_for(sub, name=f"user {sub}")
    socket = await connect(f"ws://127.0.0.1:{server.port}/api/v1/ws?token={token}", proxy=None)
    for room in rooms:
        await socket.send(json.dumps({"type": "join_room", "data": {"room": room}, "id": room}))
        while json.loads(await socket.recv()).get("id") != room:
            pass
    return socket


async def test_rooms_and_members(server: ServerHandle, ann: httpx.AsyncClient, clients: Clients) -> None:
    sockets = [
        await joined(server, "1", "a", "b"),
        await joined(server, "x", "a"),
        await joined(server, "1", "a"),
    ]
    rooms = (await ann.get("/api/v1/rooms")).json()
    assert rooms == {"rooms": [{"room": "a", "member_count": 2}, {"room": "b", "member_count": 1}]}
    members = (await ann.get("/api/v1/rooms/a/members")).json()
    assert members == {
        "room": "a",
        "members": [{"user_id": 1, "name": "user 1"}, {"user_id": "x", "name": "user x"}],
        "member_count": 2,
    }
    limited = await clients(token_for(rooms=[{"match": "b", "can": ["join"]}]))
    assert (await limited.get("/api/v1/rooms")).json() == {"rooms": [{"room": "b", "member_count": 1}]}
    empty = (await ann.get("/api/v1/rooms/nobody/members")).json()
    assert empty == {"room": "nobody", "members": [], "member_count": 0}
    for socket in sockets:
        await socket.close()


async def test_kick(server: ServerHandle, ann: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    assert_problem(await ann.delete("/api/v1/users/1/connections"), 403, "forbidden")
    sockets = [await joined(server, "1", "a"), await joined(server, "1", "a")]
    other = await joined(server, "2", "a")
    answer = await admin.delete("/api/v1/users/1/connections")
    assert (answer.status_code, answer.json()) == (200, {"closed": 2})
    for socket in sockets:
        await socket.wait_closed()
        assert socket.close_code == 4500
    assert (await admin.delete("/api/v1/users/nobody/connections")).json() == {"closed": 0}
    await other.ping()
    await other.close()


async def test_refresh_of_a_stream(server: ServerHandle, clients: Clients) -> None:
    del server
    follower = await clients(token_for("7", ttl_s=300))
    async with follower.stream("GET", "/api/v1/events/stream", params={"room": "general"}) as stream:
        assert stream.status_code == 200
        lines = stream.aiter_lines()  # kept: its end would be the stream's
        while not (line := await anext(lines)).startswith("data: "):
            pass
        connection_id = json.loads(line.removeprefix("data: "))["connection_id"]
        path = f"/api/v1/streams/{connection_id}/refresh"
        renewed = await (await clients(token_for("7", ttl_s=3000))).post(path)
        assert renewed.status_code == 200
        assert renewed.json()["expires_at"].endswith("Z")
        assert_problem(await (await clients(token_for("8"))).post(path), 404, "not_found")
        without_right = await clients(token_for("7", rooms=[{"match": "x", "can": ["join"]}]))
        assert_problem(await without_right.post(path), 403, "forbidden")
        assert_problem(await (await clients(token_for("7", ttl_s=-60))).post(path), 401, "invalid_token")
    assert_problem(await follower.post("/api/v1/streams/none/refresh"), 404, "not_found")
