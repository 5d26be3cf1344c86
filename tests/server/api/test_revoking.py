"""Revoking over HTTP: who may, what is asked for, what is answered."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest

from rtcli_server.api.models import RevocationIn
from rtcli_server.api.revoking import LONGER_MS, read_revocation
from rtcli_server.auth import revocations
from rtcli_server.auth.revocations import MAX_KEPT_MS, Revocation, RevocationKind
from rtcli_server.problems import ProblemError
from tests.support.clients.http_api import Clients, assert_problem, token_for
from tests.support.forged_tokens import SECRET

NOW_MS = 1_800_000_000_000  # 2027-01-15T08:00:00Z
LATEST_MS = NOW_MS + MAX_KEPT_MS
PATH = "/api/v1/revocations"
KICK = "/api/v1/users/7/connections"


def iso(seconds: float) -> str:
    """The time that many seconds from now, as a client writes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def kept_longer(asked: Revocation) -> Revocation:
    return Revocation(asked.kind, asked.subject, asked.until_ms + LONGER_MS, asked.before_ms)


@pytest.mark.parametrize(
    ("body", "revocation"),
    [
        ({"jti": "a"}, Revocation(RevocationKind.TOKEN, "a", LATEST_MS)),
        (
            {"jti": "a", "until": "2027-01-15T08:00:01Z"},
            Revocation(RevocationKind.TOKEN, "a", NOW_MS + 1_000),
        ),
        (
            {"jti": "a", "until": "2027-01-15T09:00:01.250+01:00"},
            Revocation(RevocationKind.TOKEN, "a", NOW_MS + 1_250),
        ),
        ({"jti": "a", "until": "9999-12-31T23:59:59Z"}, Revocation(RevocationKind.TOKEN, "a", LATEST_MS)),
        ({"user": "7"}, Revocation(RevocationKind.USER, "7", LATEST_MS, before_ms=NOW_MS)),
        (
            {"user": "7", "issued_before": "2027-01-15T07:00:00Z"},
            Revocation(RevocationKind.USER, "7", LATEST_MS, before_ms=NOW_MS - 3_600_000),
        ),
        (
            {"user": "7", "issued_before": "1960-01-01T00:00:00Z"},
            Revocation(RevocationKind.USER, "7", LATEST_MS),
        ),
    ],
)
def test_what_is_asked_for(body: dict[str, str], revocation: Revocation) -> None:
    assert read_revocation(RevocationIn(**body), NOW_MS) == kept_longer(revocation)


BAD: list[dict[str, Any]] = [
    {},
    {"jti": None, "user": None},
    {"jti": "a", "user": "7"},
    {"jti": "a", "issued_before": "2020-01-01T00:00:00Z"},
    {"issued_before": "2020-01-01T00:00:00Z"},
    {"until": "2099-01-01T00:00:00Z"},
    {"jti": ""},
    {"jti": "x" * 257},
    {"jti": "a\nb"},
    {"jti": "\u202e"},
    {"jti": 7},
    {"jti": ["a"]},
    {"user": ""},
    {"user": "x" * 129},
    {"user": "a\tb"},
    {"user": "\u3164"},
    {"user": "__proto__"},
    {"user": 7},
    {"user": "7", "issued_before": "yesterday"},
    {"user": "7", "issued_before": ""},
    {"user": "7", "issued_before": "2020-01-01"},
    {"user": "7", "issued_before": "2020-01-01T00:00:00"},
    {"user": "7", "issued_before": "2020-13-01T00:00:00Z"},
    {"user": "7", "issued_before": "2999-01-01T00:00:00Z"},
    {"user": "7", "issued_before": "0001-01-01T00:00:00+23:59"},
    {"user": "7", "issued_before": 1_800_000_000},
    {"jti": "a", "until": "2020-01-01T00:00:00Z"},
    {"jti": "a", "until": "9999-12-31T23:59:59-23:59"},
    {"jti": "a", "until": True},
]


@pytest.mark.parametrize("body", BAD)
async def test_what_cannot_be_meant_is_refused(admin: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert_problem(await admin.post(PATH, json=body), 400, "invalid_message")


async def test_unknown_keys_are_ignored(admin: httpx.AsyncClient) -> None:
    assert (await admin.post(PATH, json={"jti": "a", "because": "stolen"})).status_code == 201


async def test_a_mistake_names_its_field(admin: httpx.AsyncClient) -> None:
    answer = await admin.post(PATH, json={"user": "7", "issued_before": "yesterday"})
    assert answer.json()["errors"] == [{"field": "issued_before", "message": "not a time"}]


async def test_only_administrators_may(clients: Clients) -> None:
    """And who may not learns nothing of what is wrong with the request, nor changes anything."""
    nobody = await clients()
    for client, status, code in (
        (nobody, 401, "invalid_token"),
        (await clients(token_for()), 403, "forbidden"),
        (await clients(token_for(scope="publish")), 403, "forbidden"),
        (await clients(token_for(scope="administrator")), 403, "forbidden"),
    ):
        assert_problem(await client.post(PATH, json={"user": "7"}), status, code)
        assert_problem(await client.delete(KICK, params={"stay_away_s": 600}), status, code)
    assert (await (await clients(token_for())).get("/api/v1/rooms")).status_code == 200


async def test_the_answer_says_until_when_it_is_kept(admin: httpx.AsyncClient) -> None:
    answer = await admin.post(PATH, json={"jti": "a", "until": "2099-01-01T00:00:00Z"})
    assert answer.status_code == 201
    latest = datetime.fromisoformat(answer.json()["until"])
    assert timedelta(days=3_600) < latest - datetime.now(UTC) < timedelta(days=3_661)
    answer = await admin.post(PATH, json={"jti": "b", "until": iso(3_600)})
    assert 3_590 < datetime.fromisoformat(answer.json()["until"]).timestamp() - time.time() <= 3_600


async def test_a_token_that_is_taken_after_its_expiry_is_revoked_as_long(
    clients: Clients, admin: httpx.AsyncClient
) -> None:
    """Whoever revokes it says when it expires; servers take it for some seconds more."""
    expires_at = int(time.time())  # now
    own = {"sub": "7", "exp": expires_at, "jti": "expiring"}
    late = await clients(jwt.encode(own, SECRET, algorithm="HS256"))
    assert (await late.get("/api/v1/rooms")).status_code == 200, "it is taken"
    until = datetime.fromtimestamp(expires_at, UTC).isoformat()
    assert (await admin.post(PATH, json={"jti": "expiring", "until": until})).status_code == 201
    assert_problem(await late.get("/api/v1/rooms"), 401, "invalid_token")


async def test_a_revoked_token_is_like_any_bad_one(clients: Clients, admin: httpx.AsyncClient) -> None:
    ann = await clients(token_for())
    assert (await ann.get("/api/v1/rooms")).status_code == 200
    assert (await admin.post(PATH, json={"user": "7"})).status_code == 201
    revoked = await ann.get("/api/v1/rooms")
    forged = await (await clients("eyJhbGciOiJIUzI1NiJ9.e30.AAAA")).get("/api/v1/rooms")
    assert_problem(revoked, 401, "invalid_token")
    assert revoked.json() == forged.json()
    assert (await admin.post(PATH, json={"user": "7"})).status_code == 201, "it may be repeated"


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "x", "", "2592001", "1e300"])
async def test_times_to_stay_away_that_are_refused(admin: httpx.AsyncClient, value: str) -> None:
    assert_problem(await admin.delete(f"{KICK}?stay_away_s={value}"), 400, "invalid_message")


async def test_who_has_to_stay_away_is_forbidden(clients: Clients, admin: httpx.AsyncClient) -> None:
    ann = await clients(token_for())
    assert (await admin.delete(KICK, params={"stay_away_s": 600})).json() == {"closed": 0}
    problem = assert_problem(await ann.get("/api/v1/rooms"), 403, "forbidden")
    assert problem["detail"] == "Kicked: stay away"
    assert (await (await clients(token_for("8"))).get("/api/v1/rooms")).status_code == 200
    assert_problem(
        await admin.delete("/api/v1/users/%20/connections", params={"stay_away_s": 600}),
        400,
        "invalid_message",
    )


async def test_a_full_list_is_said(admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocations, "MAX_REVOCATIONS", 2)
    for name in ("a", "b"):
        assert (await admin.post(PATH, json={"jti": name, "until": iso(600)})).status_code == 201
    assert_problem(await admin.post(PATH, json={"jti": "c"}), 409, "conflict")
    assert_problem(await admin.delete(KICK, params={"stay_away_s": 600}), 409, "conflict")
    assert (await admin.post(PATH, json={"jti": "a", "until": iso(500)})).status_code == 201
    assert (await admin.delete(KICK)).status_code == 200, "a kick alone takes no place"


def test_a_time_before_all_times_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ProblemError):
        read_revocation(RevocationIn(jti="a", until="1970-01-01T00:00:00Z"), NOW_MS)
