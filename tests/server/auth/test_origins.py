from __future__ import annotations

import pytest

from rtcli_server.auth.origins import InvalidOriginError, Origin, OriginPolicy, OriginVerdict, parse_origin

POLICY = OriginPolicy(["https://ok.example", "http://dev.example:8080", "http://[2001:db8::1]"])


@pytest.mark.parametrize(
    "origin",
    [
        "https://ok.example",
        "https://ok.example:443",
        "HTTPS://OK.EXAMPLE",
        "http://dev.example:8080",
        "http://[2001:DB8::1]:80",
    ],
)
def test_an_allowed_origin_however_it_is_written(origin: str) -> None:
    assert POLICY.check([origin]) is OriginVerdict.ALLOWED


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://ok.example.evil.com",
        "https://evil-ok.example",
        "https://sub.ok.example",
        "https://ok.example:444",
        "http://ok.example",
        "http://dev.example",
        "https://ok.example.",
        "https://ok.example/",
        "https://ok.example@evil.example",
        "https://user@ok.example",
        "https://ok.example:443:443",
        "https://ok.example:99999",
        "https://ok.example\x00",
        "https://ok.example https://evil.example",
        "https://ok.example, https://ok.example",
        "//ok.example",
        "ok.example",
        "null",
        "NULL",
        "*",
        "",
        " https://ok.example",
        "https://оk.example",
    ],
)
def test_everything_else_is_refused(origin: str) -> None:
    """Row H12."""
    assert POLICY.check([origin]) is OriginVerdict.REFUSED


def test_no_origin_and_several() -> None:
    assert POLICY.check([]) is OriginVerdict.ABSENT
    assert POLICY.check(["https://ok.example"] * 2) is OriginVerdict.REFUSED


def test_an_empty_list_refuses_every_page() -> None:
    assert OriginPolicy().check(["https://ok.example"]) is OriginVerdict.REFUSED


def test_the_pages_of_a_server_on_loopback_are_its_own() -> None:
    policy = OriginPolicy()
    policy.allow_loopback(8000)
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert policy.check([f"http://{host}:8000"]) is OriginVerdict.ALLOWED
        assert policy.check([f"http://{host}:8001"]) is OriginVerdict.REFUSED
        assert policy.check([f"https://{host}:8000"]) is OriginVerdict.REFUSED
    assert policy.check(["http://rebound.example:8000"]) is OriginVerdict.REFUSED
    policy.allow_loopback(8443, tls=True)
    assert policy.check(["https://localhost:8443"]) is OriginVerdict.ALLOWED


def test_mistakes_in_the_configuration_raise() -> None:
    for text in ("https://ok.example/", "ok.example", "*", "null", "https://*.example", "https://h:70000"):
        with pytest.raises(InvalidOriginError):
            OriginPolicy([text])


def test_a_scheme_without_ports_has_none() -> None:
    assert parse_origin("capacitor://localhost") == Origin("capacitor", "localhost", None)
