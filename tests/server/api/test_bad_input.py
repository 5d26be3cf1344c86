"""The tables of bad requests. After every row, the same server must still answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from rtcli_server.process.runner import ServerHandle, running_server
from rtcli_server.settings import Settings
from tests.support.clients.http_api import assert_problem, token_for
from tests.support.forged_tokens import SECRET

pytestmark = pytest.mark.asyncio(loop_scope="module")
MESSAGES = "/api/v1/rooms/general/messages"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[ServerHandle]:
    async with running_server(Settings(port=0, secrets=(SECRET,), rate_limit_per_s=None)) as handle:
        yield handle


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ann(shared: ServerHandle) -> AsyncIterator[httpx.AsyncClient]:
    """User 7, without scopes."""
    headers = {"Authorization": f"Bearer {token_for()}"}
    async with httpx.AsyncClient(base_url=shared.url, headers=headers, trust_env=False) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(shared: ServerHandle) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {token_for('root', scope='admin')}"}
    async with httpx.AsyncClient(base_url=shared.url, headers=headers, trust_env=False) as client:
        yield client


async def post(client: httpx.AsyncClient, path: str, **body: object) -> httpx.Response:
    return await client.post(path, json=body)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_message"),
        (b"{", "invalid_message"),
        (b"[]", "invalid_message"),
        (b"null", "invalid_message"),
        (b'"text"', "invalid_message"),
        (b"{}", "invalid_message"),
        (b'{"content":5}', "invalid_message"),
        (b'{"content":null}', "invalid_message"),
        (b'{"content":"x","id":5}', "invalid_message"),
        (b'{"content":"x","id":""}', "invalid_message"),
        (b'{"content":"x","id":"%s"}' % (b"y" * 65), "invalid_message"),
        (b'{"content":"x","id":"%s"}' % (b"y" * 10_000), "invalid_message"),
        (b'{"content":""}', "too_long"),
        (b'{"content":"%s"}' % (b"y" * 16_385), "too_long"),
        (b'{"content":"x","content":"y"}', "invalid_message"),
        (b'{"content":"\\ud800"}', "invalid_message"),
        (b'{"content":"\\u0000"}', "invalid_message"),
        (b'{"content":"x","n":NaN}', "invalid_message"),
        (b'{"content":"x","n":1e999}', "invalid_message"),
        (b'{"content":"x","n":%s}' % (b"1" * 5000), "invalid_message"),
        (b'{"content":"x","n":%s}' % (b"[" * 30 + b"]" * 30), "invalid_message"),
        (b"[" * 60_000, "invalid_message"),
        (b'\xef\xbb\xbf{"content":"x"}', "invalid_message"),
        (b'{"content":"\xff"}', "invalid_message"),
    ],
)
async def test_bodies_that_are_refused(ann: httpx.AsyncClient, body: bytes, code: str) -> None:
    """Row P1, and the JSON rows."""
    answer = await ann.post(MESSAGES, content=body, headers={"content-type": "application/json"})
    assert_problem(answer, 400, code)
    assert (await post(ann, MESSAGES, content="still here")).status_code == 201


async def test_the_longest_content_and_unknown_keys_are_accepted(ann: httpx.AsyncClient) -> None:
    assert (await post(ann, MESSAGES, content="é" * 16_384, user="x", epoch="y")).status_code == 201


async def test_a_mistake_is_located_and_not_echoed(ann: httpx.AsyncClient) -> None:
    problem = assert_problem(await post(ann, MESSAGES, content=["secret-ish"], id=5), 400, "invalid_message")
    assert problem["errors"] == [
        {"field": "content", "message": "string_type"},
        {"field": "id", "message": "string_type"},
    ]


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/form-data"],
)
async def test_other_media_types(ann: httpx.AsyncClient, content_type: str) -> None:
    """Row H23. A foreign page's form can send these; application/json takes a preflight."""
    headers = {"content-type": content_type} if content_type else {}
    assert_problem(
        await ann.post(MESSAGES, content=b'{"content":"x"}', headers=headers), 415, "unsupported_media_type"
    )
    compressed = {"content-type": "application/json", "content-encoding": "gzip"}
    assert_problem(await ann.post(MESSAGES, content=b"x", headers=compressed), 415, "unsupported_media_type")


async def test_a_charset_is_no_other_media_type(ann: httpx.AsyncClient) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert (await ann.post(MESSAGES, content=b'{"content":"x"}', headers=headers)).status_code == 201


@pytest.mark.parametrize(
    "room",
    [
        "a%20%20b",
        "a%20",
        "a%22b",
        "a%3Fb",
        "%00",
        "%09",
        "a%C2%A0b",
        "%E2%80%AE",
        "a%E2%80%8Bb",
        "%E3%85%A4",
        "x" * 129,
        "x" * 2_000,
        "",
        "%7Eme",
        "%2E",
        "%2E%2E",
        "e%CC%81%3F",
        "e%CC%81" * 129,
    ],
)
async def test_invalid_room_names(ann: httpx.AsyncClient, room: str) -> None:
    """Row H13."""
    assert_problem(await post(ann, f"/api/v1/rooms/{room}/messages", content="x"), 400, "invalid_room")


async def test_a_line_end_in_the_path_leads_nowhere(ann: httpx.AsyncClient) -> None:
    assert_problem(await post(ann, "/api/v1/rooms/a%0Ab/messages", content="x"), 404, "not_found")


@pytest.mark.parametrize("room", ["%ff", "%C3", "a%ED%A0%80"])
async def test_paths_that_are_not_utf8(ann: httpx.AsyncClient, room: str) -> None:
    assert_problem(await post(ann, f"/api/v1/rooms/{room}/messages", content="x"), 400, "invalid_message")


@pytest.mark.parametrize(
    "event",
    ["", "a b", "a\nb", "a\x00", "ready", "new_message", "heartbeat", "error", "x" * 65, "é", "-a", 5, None],
)
async def test_event_names_that_are_refused(admin: httpx.AsyncClient, event: object) -> None:
    """Row S13."""
    assert_problem(await post(admin, "/api/v1/events", event=event), 400, "invalid_message")


@pytest.mark.parametrize("data", [None, [], "text", 5, True])
async def test_the_data_of_an_event_is_an_object(admin: httpx.AsyncClient, data: object) -> None:
    assert_problem(await post(admin, "/api/v1/events", event="x", data=data), 400, "invalid_message")


@pytest.mark.parametrize("user_id", ["a/b", "user@example.org", "Zoë B.", "100%", "a?b#c"])
async def test_any_user_id_fits_into_the_path(admin: httpx.AsyncClient, user_id: str) -> None:
    answer = await post(admin, f"/api/v1/users/{quote(user_id, safe='')}/events", event="x")
    assert answer.json()["channel"] == f"user:{user_id}"


@pytest.mark.parametrize(
    "since", ["", "x", "-1", "abcd-", "abcd--1", "abcd-01", "abcd-1-2", "+", "$", "(abcd-1"]
)
async def test_invalid_positions(ann: httpx.AsyncClient, since: str) -> None:
    assert_problem(await ann.get(MESSAGES, params={"since": since}), 400, "invalid_message")


@pytest.mark.parametrize("limit", ["0", "-1", "501", "x", "", "1.5", "1e3"])
async def test_invalid_limits(ann: httpx.AsyncClient, limit: str) -> None:
    assert_problem(await ann.get(MESSAGES, params={"limit": limit}), 400, "invalid_message")


@pytest.mark.parametrize("user_id", ["", "%20", "a%0Db", "x" * 129, "__proto__", "a%E2%80%AEb", "%2E%2E"])
async def test_invalid_user_ids(admin: httpx.AsyncClient, user_id: str) -> None:
    assert_problem(await post(admin, f"/api/v1/users/{user_id}/events", event="x"), 400, "invalid_message")


EXCLUDED: list[tuple[object, int]] = [
    ({"users": ["8"]}, 201),
    ({"users": [8, "a b", "Ünï"], "connections": ["0a1b2c3d-0123456789ab"]}, 201),
    ({"users": [str(number) for number in range(100)]}, 201),
    ({}, 201),
    (None, 201),
    ({"users": [], "unknown": 1}, 201),
    ({"users": [str(number) for number in range(101)]}, 400),
    ({"users": [str(number) for number in range(100)], "connections": ["c"]}, 400),
    ({"users": [f"{number:ü>128}" for number in range(64)]}, 400),
    ({"users": [""]}, 400),
    ({"users": ["a\n"]}, 400),
    ({"users": ["x" * 129]}, 400),
    ({"users": [None]}, 400),
    ({"users": [True]}, 400),
    ({"users": [1.5]}, 400),
    ({"users": "8"}, 400),
    ({"users": None}, 400),
    ({"connections": [""]}, 400),
    ({"connections": ["a b"]}, 400),
    ({"connections": ["x" * 65]}, 400),
    ({"connections": [7]}, 400),
    ([], 400),
    ("8", 400),
]


@pytest.mark.parametrize(("exclude", "status"), EXCLUDED)
async def test_exclusions(admin: httpx.AsyncClient, exclude: object, status: int) -> None:
    body = {"content": "x", "exclude": exclude}
    answers = [await admin.post("/api/v1/rooms/a/messages", json=body)]
    paths = ("/api/v1/events", "/api/v1/users/7/events")
    answers += [await admin.post(path, json={"event": "e", "exclude": exclude}) for path in paths]
    assert {answer.status_code for answer in answers} == {status}
    batch = [{"room": "a", **body}, {"event": "e", "exclude": exclude}, {"room": "a", "content": "good"}]
    results = (await admin.post("/api/v1/batch", json={"publications": batch})).json()["results"]
    assert [result["status"] for result in results] == [status, status, 201]
    if exclude is not None:
        part = {"connection": "c", "event": "e", "exclude": exclude}
        [alone] = (await admin.post("/api/v1/batch", json={"publications": [part]})).json()["results"]
        assert alone["status"] == 400  # an event for one connection excludes nobody


async def test_members_cannot_hide_from_each_other_what_they_say(ann: httpx.AsyncClient) -> None:
    body = {"content": "x", "exclude": {"users": ["8"]}}
    assert_problem(await ann.post("/api/v1/rooms/a/messages", json=body), 403, "forbidden")
    [result] = (await ann.post("/api/v1/batch", json={"publications": [{"room": "a", **body}]})).json()[
        "results"
    ]
    assert result["status"] == 403
