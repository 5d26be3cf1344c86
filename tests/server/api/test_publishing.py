from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
from websockets.asyncio.client import connect

from rtcli_server.process.runner import ServerHandle, running_server
from rtcli_server.settings import Settings
from tests.support.clients.http_api import Clients, assert_problem, token_for
from tests.support.forged_tokens import SECRET

MESSAGES = "/api/v1/rooms/general/messages"


async def post(client: httpx.AsyncClient, path: str, **body: object) -> httpx.Response:
    return await client.post(path, json=body)


async def test_a_message_gets_its_position(ann: httpx.AsyncClient) -> None:
    first = await post(ann, MESSAGES, content="one")
    second = await post(ann, MESSAGES, content="two")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == {
        "channel": "room:general",
        "epoch": first.json()["epoch"],
        "offset": 1,
        "position": f"{first.json()['epoch']}-1",
        "duplicate": False,
        "queued": {"here": 0, "deployment": 0},
    }
    assert second.json()["offset"] == 2


async def test_an_id_counts_once(ann: httpx.AsyncClient, clients: Clients) -> None:
    """Row P2: a repeat gets the same position with 200, another message with the id gets 409."""
    first = await post(ann, MESSAGES, content="one", id="c-1")
    again = await post(ann, MESSAGES, content="one", id="c-1")
    assert again.status_code == 200
    assert again.json() == {**first.json(), "duplicate": True}
    assert_problem(await post(ann, MESSAGES, content="two", id="c-1"), 409, "conflict")
    other_room = await post(ann, "/api/v1/rooms/other/messages", content="one", id="c-1")
    assert other_room.status_code == 201
    other_user = await post(await clients(token_for("8")), MESSAGES, content="two", id="c-1")
    assert (other_user.status_code, other_user.json()["offset"]) == (201, 2)


async def test_ids_of_users_whose_names_contain_separators(clients: Clients) -> None:
    one, other = await clients(token_for("a")), await clients(token_for("a:b"))
    assert (await post(one, MESSAGES, content="x", id="b:c")).json()["offset"] == 1
    assert (await post(other, MESSAGES, content="x", id="c")).json()["offset"] == 2


async def test_concurrent_repeats_are_published_once(ann: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(post(ann, MESSAGES, content="one", id="c") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert {answer.json()["offset"] for answer in answers} == {1}


async def test_events_of_users_and_of_all(admin: httpx.AsyncClient, clients: Clients) -> None:
    publisher = await clients(token_for("bot", scope="publish"))
    for client in (admin, publisher):
        to_user = await post(client, "/api/v1/users/7/events", event="order.paid", data={"n": 1}, id="e")
        assert (to_user.status_code, to_user.json()["channel"]) == (201, "user:7")
        to_all = await post(client, "/api/v1/events", event="news")
        assert (to_all.status_code, to_all.json()["channel"]) == (201, "all")
    again = await post(admin, "/api/v1/users/7/events", event="order.paid", data={"n": 1}, id="e")
    assert (again.status_code, again.json()["duplicate"]) == (200, True)
    for changed in ({"event": "order.lost", "data": {"n": 1}}, {"event": "order.paid", "data": {"n": 2}}):
        assert_problem(
            await admin.post("/api/v1/users/7/events", json={**changed, "id": "e"}), 409, "conflict"
        )


async def test_a_member_gets_what_was_published_over_http(
    server: ServerHandle, ann: httpx.AsyncClient
) -> None:
    url = f"ws://127.0.0.1:{server.port}/api/v1/ws?token={token_for('8', name='Bob')}"
    async with connect(url, proxy=None) as socket:
        await socket.recv()
        await socket.send('{"type":"join_room","data":{"room":"general"}}')
        assert json.loads(await socket.recv())["type"] == "room_joined"
        content = 'line\r\nend: x\n\nid: 9 "quoted" \\ \u2028 \U0001f600 <b>&amp;'
        published = (await post(ann, MESSAGES, content=content, id="c-1")).json()
        message = json.loads(await socket.recv())
    assert message["type"] == "new_message"
    data = message["data"]
    assert (data["content"], data["sender_id"], data["sender_name"]) == (content, 7, "Ann")
    assert (data["id"], data["offset"], data["epoch"]) == ("c-1", published["offset"], published["epoch"])


async def test_the_same_id_over_websocket_and_http_counts_once(
    server: ServerHandle, ann: httpx.AsyncClient
) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}/api/v1/ws?token={token_for()}", proxy=None) as socket:
        await socket.send('{"type":"join_room","data":{"room":"general"}}')
        await socket.send('{"type":"chat_message","data":{"room":"general","content":"x"},"id":"c-1"}')
        while json.loads(await socket.recv())["type"] != "ack":
            pass
    answer = await post(ann, MESSAGES, content="x", id="c-1")
    assert (answer.status_code, answer.json()["offset"]) == (200, 1)


async def raw_exchange(server: ServerHandle, headers: dict[str, str]) -> bytes:
    """Send the head of a request without its body, and read the first bytes of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    fields = {"host": "x", "authorization": f"Bearer {token_for()}", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    writer.write(f"POST {MESSAGES} HTTP/1.1\r\n{head}\r\n".encode())
    answer = await reader.read(4_096)
    writer.close()
    return answer


async def test_bodies_over_the_limit(server: ServerHandle, ann: httpx.AsyncClient) -> None:
    """Row H22: by the header, and without one."""
    headers = {"content-type": "application/json"}
    body = b'{"content":"x","y":"%s"}' % (b"z" * 65_536)
    assert_problem(await ann.post(MESSAGES, content=body, headers=headers), 413, "too_long")

    async def chunks() -> Any:  # noqa: ANN401 - an async generator of bytes
        for _ in range(100):
            yield b" " * 1_000

    assert_problem(await ann.post(MESSAGES, content=chunks(), headers=headers), 413, "too_long")
    announced = headers | {"content-length": "1000000000000"}
    answer = await raw_exchange(server, announced)
    assert b" 413 " in answer.splitlines()[0]
    exact = b'{"content":"x","y":"%s"}' % (b"z" * (65_536 - 22))
    assert len(exact) == 65_536
    assert (await ann.post(MESSAGES, content=exact, headers=headers)).status_code == 201


async def test_a_room_with_a_slash(ann: httpx.AsyncClient) -> None:
    answer = await post(ann, "/api/v1/rooms/a%2Fmessages%2Fb/messages", content="x")
    assert answer.json()["channel"] == "room:a/messages/b"


async def test_rights(clients: Clients) -> None:
    reader = await clients(token_for("8", rooms=[{"match": "general", "can": ["join"]}]))
    assert_problem(await post(reader, MESSAGES, content="x"), 403, "forbidden")
    writer = await clients(token_for("9", rooms=[{"match": "gen*", "can": ["publish"]}]))
    assert (await post(writer, MESSAGES, content="x")).status_code == 201
    assert_problem(await post(writer, "/api/v1/rooms/other/messages", content="x"), 403, "forbidden")
    for path in ("/api/v1/events", "/api/v1/users/7/events"):
        assert_problem(await post(writer, path, event="x"), 403, "forbidden")


async def test_data_keeps_its_value(server: ServerHandle, admin: httpx.AsyncClient) -> None:
    url = f"ws://127.0.0.1:{server.port}/api/v1/ws?events=1&token={token_for('8')}"
    data = {"big": 10**40, "float": 0.1, "text": "\r\n\u2028é", "deep": [[{"a": None}]], "true": True}
    async with connect(url, proxy=None) as socket:
        assert json.loads(await socket.recv())["type"] == "pong"
        await socket.send('{"type":"ping"}')
        await socket.recv()
        await post(admin, "/api/v1/users/8/events", event="x", data=data)
        while (message := json.loads(await socket.recv()))["type"] != "event":
            pass
    assert message["data"]["data"] == data


async def test_a_batch_keeps_its_order_and_each_part_has_its_own_outcome(clients: Clients) -> None:
    client = await clients(token_for("8", rooms=[{"match": "a*", "can": ["publish"]}], scope="publish"))
    parts: list[dict[str, object]] = [
        {"room": "a", "content": "one", "id": "1"},
        {"room": "b", "content": "not allowed"},
        {"room": "a", "content": "two"},
        {"room": "a", "content": "one", "id": "1"},
        {"room": "a", "content": "three", "id": "1"},
        {"user": "7", "event": "x", "data": {"a": 1}},
        {"event": "y"},
        {"event": "ready"},
        {"room": "a"},
        {"room": "a", "content": "x", "event": "y"},
        {"user": "7", "room": "a", "content": "x"},
        {"room": "a  b", "content": "x"},
        {"connection": "no-such", "event": "x"},
        {"connection": "no-such", "event": "ready"},
        {"connection": "no-such", "event": "x", "id": "1"},
        {"connection": "no-such", "user": "7", "event": "x"},
        {"connection": "no-such", "room": "a", "content": "x"},
        {},
    ]
    answer = await client.post("/api/v1/batch", json={"publications": parts})
    assert answer.status_code == 200
    results = answer.json()["results"]
    outcomes = [(r["status"], r.get("code") or r["published"]["position"].split("-")[1]) for r in results]
    assert outcomes == [
        (201, "1"),
        (403, "forbidden"),
        (201, "2"),
        (200, "1"),
        (409, "conflict"),
        (201, "1"),
        (201, "1"),
        (400, "invalid_message"),
        (400, "invalid_message"),
        (400, "invalid_message"),
        (400, "invalid_message"),
        (400, "invalid_room"),
        (404, "not_found"),
        (400, "invalid_message"),
        (400, "invalid_message"),
        (400, "invalid_message"),
        (400, "invalid_message"),
        (400, "invalid_message"),
    ]


MALFORMED: list[tuple[object, str, list[str]]] = [
    ("", "invalid_message", [""]),
    (None, "invalid_message", [""]),
    (7, "invalid_message", [""]),
    ([], "invalid_message", [""]),
    ({"room": "a", "content": ""}, "too_long", ["content"]),
    ({"room": "a", "content": "y" * 16_385}, "too_long", ["content"]),
    ({"room": "a", "content": 7}, "invalid_message", ["content"]),
    ({"room": ["a"], "content": "x"}, "invalid_message", ["room"]),
    ({"room": "a", "content": "x", "id": ""}, "invalid_message", ["id"]),
    ({"room": "a", "content": "x", "id": "i" * 65}, "invalid_message", ["id"]),
    ({"event": "x", "data": []}, "invalid_message", ["data"]),
    ({"event": {}, "user": 7, "id": 7}, "invalid_message", ["user", "event", "id"]),
]


async def test_malformed_parts_of_a_batch_fail_alone(admin: httpx.AsyncClient) -> None:
    good = {"room": "a", "content": "x"}
    parts = [good, *(part for part, _, _ in MALFORMED), good]
    answer = await admin.post("/api/v1/batch", json={"publications": parts})
    assert answer.status_code == 200
    first, *failed, last = answer.json()["results"]
    assert [first["published"]["offset"], last["published"]["offset"]] == [1, 2]
    for (_, code, fields), result in zip(MALFORMED, failed, strict=True):
        assert (result["status"], result["code"]) == (400, code)
        assert [error["field"] for error in result["errors"]] == fields
        assert "y" * 100 not in str(result)  # nothing of the input comes back


async def test_a_malformed_part_counts_for_the_rate() -> None:
    settings = Settings(port=0, secrets=(SECRET,), rate_limit_per_s=0.2)
    headers = {"Authorization": f"Bearer {token_for()}"}
    async with (
        running_server(settings) as server,
        httpx.AsyncClient(base_url=server.url, headers=headers) as client,
    ):
        parts: list[object] = [None, None, {"room": "a", "content": "x"}]
        results = (await client.post("/api/v1/batch", json={"publications": parts})).json()["results"]
        assert [result["status"] for result in results] == [400, 400, 429]


async def test_an_event_in_a_batch_is_no_larger_than_alone(admin: httpx.AsyncClient) -> None:
    parts = [{"event": "x", "data": {"text": "y" * size}} for size in (65_525, 65_526)]
    results = (await admin.post("/api/v1/batch", json={"publications": parts})).json()["results"]
    assert [(result["status"], result.get("code")) for result in results] == [(201, None), (413, "too_long")]


async def test_batches_that_are_refused_as_a_whole(admin: httpx.AsyncClient) -> None:
    part = {"room": "a", "content": "x"}
    bodies: list[dict[str, object]] = [
        {},
        {"publications": []},
        {"publications": [part] * 101},
        {"publications": part},
    ]
    for body in bodies:
        assert_problem(await admin.post("/api/v1/batch", json=body), 400, "invalid_message")
    large = {"publications": [{"room": "a", "content": "y" * 16_000}] * 60}
    assert (await admin.post("/api/v1/batch", json=large)).status_code == 200
    too_large = {"publications": [{"room": "a", "content": "y" * 16_000}] * 70}
    assert_problem(await admin.post("/api/v1/batch", json=too_large), 413, "too_long")
