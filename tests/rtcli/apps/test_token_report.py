from __future__ import annotations

import json
from typing import Any

import pytest

from rtcli.apps.token_report import Key, TokenReport, inspect_token
from rtcli.errors import CliError, Exit
from rtcli.protocol.tokens import create_token
from rtcli.terminal.escaping import json_text
from rtcli_server.auth.authenticator import Authenticator, InvalidTokenError
from tests.support.forged_tokens import NOW, SECRET, forge, sign

KEY = Key("the key", SECRET)
OTHER = Key("another key", "x" * 32)


def report(token: str, *keys: Key, now: float = NOW) -> TokenReport:
    return inspect_token(token, keys or (KEY,), now=now)


def test_everything_a_token_can_say() -> None:
    token = create_token(
        SECRET,
        sub="7",
        now=NOW,
        ttl_s=5400,
        name="Ann",
        rooms=[{"match": "team-*", "can": ["join", "publish"]}, {"match": "news", "can": ["join"]}],
        scope="publish admin",
        audience="rt",
        issuer="me",
    )
    assert report(token).lines() == [
        "user:       7",
        "name:       Ann",
        "rooms:      team-* (join, publish); news (join)",
        "scope:      publish admin",
        "audience:   rt",
        "issuer:     me",
        "issued:     2027-01-15 08:00:00 UTC",
        "expires:    2027-01-15 09:30:00 UTC (in 1 h 30 min)",
        "algorithm:  HS256",
        "signature:  verified with the key",
    ]


def test_a_bare_token() -> None:
    shown = report(forge(exp=NOW - 120), OTHER, KEY)
    assert shown.lines() == [
        "user:       7",
        "name:       Unknown",
        "rooms:      every room",
        "scope:      none",
        "expires:    2027-01-15 07:58:00 UTC (expired 2 min ago)",
        "algorithm:  HS256",
        "signature:  verified with the key",
    ]
    assert shown.is_expired
    assert shown.expires_in_s == -120


def test_the_signature_in_words() -> None:
    assert report(forge(), OTHER).lines()[-1] == "signature:  not verified: another key did not sign it"
    assert (
        inspect_token(forge(), (), now=NOW).lines()[-1].endswith("not checked: no key (give --secret-file)")
    )
    assert report(forge({"alg": "none"})).verified_with is None
    assert report(forge({"alg": "HS512"})).verified_with is None


def test_the_record() -> None:
    record = report(forge()).record()
    assert record == {
        "type": "token",
        "header": {"alg": "HS256", "typ": "JWT"},
        "claims": {"sub": "7", "exp": NOW + 3600},
        "expires_in_s": 3600.0,
        "expired": False,
        "early": False,
        "leeway_s": 5.0,
        "verified": True,
        "key": "the key",
    }
    assert inspect_token(forge(), (), now=NOW).record()["verified"] is None
    assert report(forge(), OTHER).record()["verified"] is False


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": 10**400},
        {"exp": float("nan")},
        {"exp": 10**14},
        {"exp": -(10**15)},
        {"exp": 10**15, "iat": 10**30, "nbf": "x"},
        {"sub": None},
        {"sub": {"a": [1]}},
        {"name": "\ud800", "x": {"\udfff": [10**40, -(10**40), 1.5, None, True]}},
        {"rooms": "general"},
        {"rooms": ["general"]},
        {"rooms": [{"match": 5, "can": "join"}, {}]},
        {"rooms": []},
        {"scope": ["publish"]},
    ],
)
def test_odd_claims_are_shown_and_do_no_harm(claims: dict[str, Any]) -> None:
    shown = report(forge(**claims))
    assert all(isinstance(line, str) for line in shown.lines())
    assert json.loads(json_text(shown.record()))["type"] == "token"


def test_no_expiry_is_as_good_as_expired() -> None:
    shown = report(forge(exp=None))
    assert shown.is_expired
    assert "expires:    never: no server takes this" in shown.lines()


@pytest.mark.parametrize("text", ["x", "a.b", "a.b.c", "....", sign(b"[", {}), sign({"alg": "HS256"}, b"[]")])
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(CliError, match="not a JWT") as caught:
        report(text)
    assert caught.value.exit_code is Exit.USAGE


def test_neither_token_nor_secret_in_any_output() -> None:
    token = forge()
    shown = report(token)
    everything = "\n".join([*shown.lines(), json_text(shown.record()), repr(shown)])
    assert token.rpartition(".")[2] not in everything
    assert SECRET not in everything
    assert SECRET not in repr(KEY)


@pytest.mark.parametrize("header", [b'{"alg":"HS256","alg":"none"}', b'{"alg":"HS256"}'])
def test_what_may_be_read_in_two_ways_is_not_shown(header: bytes) -> None:
    claims = b'{"sub":"7","exp":1800003600%s}' % (b"" if b"none" in header else b',"sub":"8"')
    with pytest.raises(CliError, match="a name occurs twice") as caught:
        report(sign(header, claims))
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("claims", "expired", "early", "says"),
    [
        ({"exp": NOW - 4.9}, False, False, "expired 5 s ago, and servers take it for 5 s after that"),
        ({"exp": NOW - 5}, True, False, "(expired 5 s ago)"),
        ({"exp": NOW + 9, "nbf": NOW + 5}, False, False, "not before: 2027-01-15 08:00:05 UTC\n"),
        ({"exp": NOW + 9, "nbf": NOW + 5.1}, False, True, "(in 5 s: no server takes it yet)"),
        ({"exp": NOW + 9, "iat": NOW + 60}, False, True, "(in 1 min: no server takes it yet)"),
    ],
)
def test_times_are_judged_as_servers_judge_them(
    claims: dict[str, float], expired: bool, early: bool, says: str
) -> None:
    token = forge(**claims)
    shown = report(token)
    assert (shown.is_expired, shown.is_early) == (expired, early)
    assert says in "\n".join([*shown.lines(), ""])
    assert shown.record()["leeway_s"] == 5
    server = Authenticator(secrets=[SECRET], clock=lambda: NOW)
    if expired or early:
        with pytest.raises(InvalidTokenError):
            server.authenticate(token)
    else:
        assert server.authenticate(token).user_id == "7"
