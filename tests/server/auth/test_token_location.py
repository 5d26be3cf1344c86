from __future__ import annotations

from collections.abc import Sequence

import jwt
import pytest

from rtcli.protocol.tokens import create_token
from rtcli_server.auth.token_location import SubprotocolError, TwoTokensError, choose_subprotocol, find_token

Headers = dict[str, list[str]]


def find(
    headers: Headers | None = None, query: str = "", *, websocket: bool = True, origin_allowed: bool = False
) -> str | None:
    def get(name: str) -> Sequence[str]:
        return (headers or {}).get(name, [])

    return find_token(get, query, websocket=websocket, origin_allowed=origin_allowed)


AUTHORIZATION: Headers = {"authorization": ["Bearer a.b.c"]}
PAIR: Headers = {"sec-websocket-protocol": ["rt.v1, bearer.a.b.c"]}
COOKIE: Headers = {"cookie": ["x=1; rt_token=a.b.c; y=2"]}


def test_each_place_is_read() -> None:
    assert find(AUTHORIZATION) == "a.b.c"
    assert find(PAIR) == "a.b.c"
    assert find({"sec-websocket-protocol": ["rt.v1", "bearer.a.b.c"]}) == "a.b.c"
    assert find(COOKIE, origin_allowed=True) == "a.b.c"
    assert find(query="x=1&token=a.b.c&y=2") == "a.b.c"
    assert find(query="token=a%2Eb.c") == "a.b.c"
    assert find() is None


def test_the_cookie_counts_only_with_an_allowed_origin() -> None:
    assert find(COOKIE) is None


def test_the_subprotocol_counts_only_for_a_websocket() -> None:
    assert find(PAIR, websocket=False) is None


@pytest.mark.parametrize("value", ["bearer a.b.c", "BEARER a.b.c", "Bearer  a.b.c", " Bearer a.b.c "])
def test_how_a_bearer_may_be_written(value: str) -> None:
    assert find({"authorization": [value]}) == "a.b.c"


@pytest.mark.parametrize("value", ["", "a.b.c", "Basic dTpw", "Bearera.b.c"])
def test_no_bearer(value: str) -> None:
    """Row T1."""
    assert find({"authorization": [value]}) is None
    assert find(COOKIE | {"authorization": [value]}, origin_allowed=True) == "a.b.c"


@pytest.mark.parametrize("query", ["TOKEN=a.b.c", "xtoken=a.b.c", "ticket=token", "token;a"])
def test_no_token_in_the_query(query: str) -> None:
    assert find(query=query) is None


OUTRIGHT: list[tuple[Headers, str]] = [
    ({"authorization": ["Bearer {}"]}, ""),
    ({"sec-websocket-protocol": ["rt.v1, bearer.{}"]}, ""),
    ({}, "token={}"),
]


def said(place: tuple[Headers, str], token: str) -> tuple[Headers, str]:
    headers, query = place
    return {
        name: [value.format(token) for value in values] for name, values in headers.items()
    }, query.format(token)


@pytest.mark.parametrize("place", OUTRIGHT)
@pytest.mark.parametrize("token", ["d.e.f", "rubbish", ""])
@pytest.mark.parametrize("cookie", ["rt_token=a.b.c", "rt_token=a.b.c; rt_token=g.h.i"])
def test_an_outright_token_goes_before_the_cookie(
    place: tuple[Headers, str], token: str, cookie: str
) -> None:
    """Also when it is bad, and whatever the cookies: those are not read then."""
    headers, query = said(place, token)
    assert find(headers | {"cookie": [cookie]}, query, origin_allowed=True) == token


@pytest.mark.parametrize("empty", ["token", "token=", "x=1&token=&y=2"])
def test_an_empty_parameter_is_an_outright_token(empty: str) -> None:
    assert find(COOKIE, empty, origin_allowed=True) == ""


@pytest.mark.parametrize("value", ["Bearer", "bearer ", " Bearer   "])
def test_an_empty_bearer_is_an_outright_token(value: str) -> None:
    assert find(COOKIE | {"authorization": [value]}, origin_allowed=True) == ""


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (AUTHORIZATION, "token=a.b.c"),
        (AUTHORIZATION | PAIR | COOKIE, "token=a.b.c&token=a%2Eb.c"),
        ({"authorization": ["Bearer a.b.c", "bearer  a.b.c"]}, ""),
        ({"cookie": ["rt_token=a.b.c; rt_token=a.b.c", "rt_token=a.b.c"]}, ""),
    ],
)
def test_one_token_said_twice_is_one_token(headers: Headers, query: str) -> None:
    assert find(headers, query, origin_allowed=True) == "a.b.c"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (AUTHORIZATION, "token=d.e.f"),
        (AUTHORIZATION, "token="),
        (AUTHORIZATION | {"sec-websocket-protocol": ["rt.v1, bearer.d.e.f"]}, ""),
        (PAIR | COOKIE, "token=d.e.f"),
        ({}, "token=a.b.c&token=d.e.f"),
        ({"authorization": ["Bearer a.b.c", "Bearer a.b.d"]}, ""),
        ({"sec-websocket-protocol": ["rt.v1, bearer.a.b.c, bearer.a.b.d"]}, ""),
        ({"cookie": ["rt_token=a.b.c; rt_token=a.b.d"]}, ""),
        ({"cookie": ["rt_token=a.b.c", "rt_token=a.b.d"]}, ""),
    ],
)
def test_two_tokens_that_differ_are_refused(headers: Headers, query: str) -> None:
    """Row T1."""
    with pytest.raises(TwoTokensError) as caught:
        find(headers, query, origin_allowed=True)
    assert "a.b" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "bearer.a.b.c",
        "chat, bearer.a.b.c",
        "rt.v1,,bearer.a.b.c",
        "rt.v1, ",
        "",
        "rt.v1, bearer.ä",
        ", ".join(["rt.v1"] * 1000),
    ],
)
def test_subprotocol_lists_that_are_refused(value: str) -> None:
    """Row H15."""
    with pytest.raises(SubprotocolError):
        find({"sec-websocket-protocol": [value]})


def test_the_answer_never_echoes_the_token() -> None:
    assert choose_subprotocol(["rt.v1, bearer.a.b.c"]) == "rt.v1"
    assert choose_subprotocol(["bearer.a.b.c", "rt.v1"]) == "rt.v1"
    assert choose_subprotocol(["chat"]) is None
    assert choose_subprotocol([]) is None


def test_create_token_writes_only_the_claims_that_were_given() -> None:
    secret = "s" * 32
    bare = jwt.decode(create_token(secret, sub="7", now=1000.9), options={"verify_signature": False})
    assert bare == {"sub": "7", "iat": 1000, "exp": 4600}
    full = jwt.decode(
        create_token(
            secret,
            sub="ann",
            now=0,
            ttl_s=60,
            name="Ann",
            rooms=[{"match": "*", "can": ["join"]}],
            scope="publish",
            audience="rt",
            issuer="me",
        ),
        options={"verify_signature": False},
    )
    assert full == {
        "sub": "ann",
        "iat": 0,
        "exp": 60,
        "name": "Ann",
        "rooms": [{"match": "*", "can": ["join"]}],
        "scope": "publish",
        "aud": "rt",
        "iss": "me",
    }
