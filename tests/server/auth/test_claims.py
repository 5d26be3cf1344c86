from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli_server.auth.claims import ClaimError, Grant, Principal, principal_from_claims
from tests.support.protocol.room_names import room_names, spellings

NOW = 1_800_000_000.0
GOOD: dict[str, Any] = {"sub": "7", "exp": NOW + 60}


def check(_header: Mapping[str, object] | None = None, /, **claims: object) -> Principal:
    return principal_from_claims({**GOOD, **claims}, _header or {}, now=NOW, leeway_s=5.0)


def test_a_bare_token_may_use_every_room_and_has_no_scope() -> None:
    principal = check()
    assert principal == Principal("7", "Unknown", NOW + 60, frozenset(), None)
    assert principal.can_join("general")
    assert principal.can_publish("general")
    assert principal.channel == "user:7"
    assert not principal.can_publish_events
    assert not principal.is_admin


@pytest.mark.parametrize(
    ("claims", "shown"),
    [
        ({"name": "Ann"}, "Ann"),
        ({"email": "ann@example.org"}, "ann@example.org"),
        ({"name": "Ann", "email": "ann@example.org"}, "Ann"),
        ({"name": "", "email": "ann@example.org"}, "ann@example.org"),
        ({"name": 5}, "Unknown"),
        ({"name": None, "email": ["x"]}, "Unknown"),
        ({"name": " \x1b[31m\x00Ann\u202e\ud800 "}, "[31mAnn"),
        ({"name": "\u202e"}, "Unknown"),
        ({"name": " \u3164\u2800 ", "email": "ann@example.org"}, "ann@example.org"),
        ({"name": "\ufe0f\u115f"}, "Unknown"),
        ({"name": "x" * 500}, "x" * 128),
    ],
)
def test_display_name(claims: dict[str, object], shown: str) -> None:
    assert check(**claims).name == shown


@pytest.mark.parametrize("sub", ["7", "007", "a b", "ann@example.org", "Zoë", "\U0001f600", "x" * 128])
def test_subjects_that_are_accepted(sub: str) -> None:
    assert check(sub=sub).user_id == sub


@pytest.mark.parametrize(
    "sub",
    [
        None,
        "",
        5,
        5.0,
        True,
        [],
        {},
        " ",
        "x" * 129,
        "x" * 1000000,
        "\x1b[2J",
        "a\nb",
        "a\u202eb",
        "\ud800",
        "__proto__",
        ".",
        "..",
        "😀" * 500,
        "\u200b",
        "\u3164",
        "\u2800 \u2800",
        "\ufe0f",
        "a\x7f",
        "a\x85b",
        "\ufffe",
    ],
)
def test_subjects_that_are_refused(sub: object) -> None:
    with pytest.raises(ClaimError, match=r"^sub$"):
        check(sub=sub)


def test_the_leeway_ends_exactly() -> None:
    assert check(exp=NOW - 4.999).expires_at == NOW - 4.999
    with pytest.raises(ClaimError, match=r"^expired$"):
        check(exp=NOW - 5)
    assert check(nbf=NOW + 5, iat=NOW + 5).user_id == "7"
    with pytest.raises(ClaimError, match=r"^nbf$"):
        check(nbf=NOW + 5.1)
    with pytest.raises(ClaimError, match=r"^iat$"):
        check(iat=NOW + 5.1)


@pytest.mark.parametrize(
    "exp",
    [
        None,
        True,
        False,
        "tomorrow",
        str(int(NOW + 60)),
        [],
        {},
        -1,
        0,
        float("nan"),
        float("inf"),
        10**18,
        10**400,
        NOW * 1000,
        NOW - 3600,
        NOW + 11 * 366 * 86400,
    ],
)
def test_expiries_that_are_refused(exp: object) -> None:
    with pytest.raises(ClaimError, match=r"^exp"):
        check(exp=exp)


@pytest.mark.parametrize("claim", ["iat", "nbf"])
@pytest.mark.parametrize("value", ["1", True, None, float("nan"), -5])
def test_other_times_must_be_numbers_too(claim: str, value: object) -> None:
    with pytest.raises(ClaimError, match=f"^{claim}$"):
        check(**{claim: value})


@pytest.mark.parametrize(
    "header", [{}, {"typ": "JWT"}, {"typ": "jwt"}, {"typ": "at+jwt"}, {"typ": "application/at+jwt"}]
)
def test_access_tokens_are_accepted(header: dict[str, object]) -> None:
    assert check(header).user_id == "7"


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"typ": "rt+jwt"}, {}),
        ({"typ": "dpop+jwt"}, {}),
        ({"typ": 5}, {}),
        ({}, {"typ": "Refresh"}),
        ({}, {"typ": "ID"}),
        ({}, {"type": "refresh"}),
        ({}, {"token_use": "id"}),
    ],
)
def test_tokens_of_another_kind_are_refused(header: dict[str, object], claims: dict[str, object]) -> None:
    with pytest.raises(ClaimError, match=r"^typ$"):
        check(header, **claims)


def test_scopes() -> None:
    assert check(scope="publish other").can_publish_events
    assert not check(scope="publisher").can_publish_events
    assert check(scope=" admin ").is_admin
    assert check(scope="").scopes == frozenset()
    for wrong in (["publish"], 5, True):
        with pytest.raises(ClaimError, match=r"^scope$"):
            check(scope=wrong)


def test_rooms_grant_only_what_they_name() -> None:
    principal = check(
        rooms=[
            {"match": "team-*", "can": ["join", "publish"]},
            {"match": "news", "can": ["join"]},
            {"match": "a[b]?", "can": ["join", "dance"]},
        ]
    )
    assert principal.can_join("team-")
    assert principal.can_publish("team-red")
    assert principal.can_join("news")
    assert not principal.can_publish("news")
    assert not principal.can_join("news2")
    assert not principal.can_join("xteam-red")
    assert not principal.can_join("Team-red")
    assert principal.can_join("a[b]c"), "brackets are ordinary characters of a room's name"
    assert not principal.can_join("abc")


def test_an_admin_may_do_everything_whatever_the_rooms() -> None:
    principal = check(rooms=[], scope="admin")
    assert principal.can_join("x")
    assert principal.can_publish("x")
    assert principal.can_publish_events


def test_no_rooms_is_not_every_room() -> None:
    principal = check(rooms=[])
    assert not principal.can_join("general")
    assert not principal.can_publish("general")


@pytest.mark.parametrize(
    "rooms",
    [
        None,
        "general",
        {"match": "*"},
        ["general"],
        [{"match": "*"}],
        [{"can": ["join"]}],
        [[]],
        [{"match": 5, "can": ["join"]}],
        [{"match": "*", "can": "join"}],
        [{"match": "*", "can": [5]}],
    ],
)
def test_a_rooms_claim_of_the_wrong_shape_refuses_the_token(rooms: object) -> None:
    with pytest.raises(ClaimError, match=r"^rooms$"):
        check(rooms=rooms)


def test_many_stars_match_in_linear_time() -> None:
    grant = Grant("*a" * 60 + "b", frozenset({"join"}))
    assert not grant.allows("join", "a" * 128)


@given(st.text(alphabet="ab*?", max_size=6), st.text(alphabet="ab", max_size=6))
def test_globs_agree_with_their_definition(pattern: str, room: str) -> None:
    def matches(glob: str, text: str) -> bool:
        if not glob:
            return not text
        if glob[0] == "*":
            return any(matches(glob[1:], text[i:]) for i in range(len(text) + 1))
        return bool(text) and glob[0] in ("?", text[0]) and matches(glob[1:], text[1:])

    assert Grant(pattern, frozenset({"join"})).allows("join", room) == matches(pattern, room)


@given(room_names.flatmap(lambda name: st.tuples(st.just(name), spellings(name))))
def test_a_room_is_allowed_by_every_spelling_of_its_name(pair: tuple[str, str]) -> None:
    name, spelling = pair
    principal = check(rooms=[{"match": spelling, "can": ["join"]}])
    assert principal.can_join(name)
    if not set(name) & set("*?"):
        assert not principal.can_join(f"{name}!")
        assert not principal.can_join(f"!{name}")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["sub", "exp", "nbf", "iat", "name", "email", "rooms", "scope", "typ"]), json_values
    )
)
def test_any_claims_give_a_principal_or_the_documented_error(claims: dict[str, object]) -> None:
    try:
        principal = principal_from_claims({**GOOD, **claims}, {}, now=NOW, leeway_s=5.0)
    except ClaimError:
        return
    assert principal.user_id.isprintable()
    assert principal.name.isprintable()
    assert principal.expires_at > NOW - 5


@pytest.mark.parametrize("jti", ["a", "b27d5c1c-7b0a-4b1e-9a39-5a1f6a3d0a3e", "x" * 256, "Größe 1", " "])
def test_the_names_of_tokens(jti: str) -> None:
    assert check(jti=jti).token_id == jti


@pytest.mark.parametrize(
    "jti", [None, "", 7, 7.5, True, [], {}, "x" * 257, "a\nb", "a\x00", "\u202e", "\ud800"]
)
def test_names_that_no_revocation_could_say_are_refused(jti: object) -> None:
    """Otherwise there were a token that nobody can revoke."""
    with pytest.raises(ClaimError, match="jti"):
        check(jti=jti)


def test_when_a_token_was_issued() -> None:
    assert check().issued_at is None
    assert check(iat=NOW - 60).issued_at == NOW - 60
    assert check(iat=0).issued_at == 0.0
