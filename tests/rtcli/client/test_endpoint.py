from __future__ import annotations

import pytest

from rtcli.client.endpoint import parse_endpoint
from rtcli.errors import CliError, Exit


@pytest.mark.parametrize(
    ("text", "http", "ws"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/x", "ws://127.0.0.1:8000/x"),
        ("http://h", "http://h:80/x", "ws://h:80/x"),
        ("ws://h:9/", "http://h:9/x", "ws://h:9/x"),
        ("https://h", "https://h:443/x", "wss://h:443/x"),
        ("wss://H.example:444", "https://h.example:444/x", "wss://h.example:444/x"),
        ("h:9", "http://h:9/x", "ws://h:9/x"),
        ("localhost:9", "http://localhost:9/x", "ws://localhost:9/x"),
        (":9", "http://127.0.0.1:9/x", "ws://127.0.0.1:9/x"),
        ("[::1]:9", "http://[::1]:9/x", "ws://[::1]:9/x"),
        ("http://[::1]:9", "http://[::1]:9/x", "ws://[::1]:9/x"),
        ("http://h:9/own/path?a=1", "http://h:9/own/path?a=1", "ws://h:9/own/path?a=1"),
        ("http://h:9?a=1", "http://h:9/?a=1", "ws://h:9/?a=1"),
        ("http://h:9/ä", "http://h:9/%C3%A4", "ws://h:9/%C3%A4"),
        ("http://bücher.example", "http://xn--bcher-kva.example:80/x", "ws://xn--bcher-kva.example:80/x"),
    ],
)
def test_addresses_are_made_from_what_a_person_writes(text: str, http: str, ws: str) -> None:
    endpoint = parse_endpoint(text)
    assert endpoint.http_url("/x") == http
    assert endpoint.ws_url("/x") == ws


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        "ws:///x",
        "ws://[::1",
        "ws://h:99999",
        "http://h:0",
        "http://h:0x50",
        "http://h:-1",
        "http://h:abc",
        "file:///etc/passwd",
        "ftp://h/",
        "http://h/#top",
        "http://h/#",
        "http://a b/",
        " http://h",
        "http://h\n",
        "http://h\x1b[2J/",
        "http://",
        f"http://{'ü' * 70}.example",
        "http://h.\u202eexample",
    ],
)
def test_anything_else_is_a_usage_error(text: str) -> None:
    with pytest.raises(CliError) as caught:
        parse_endpoint(text)
    assert caught.value.exit_code == Exit.USAGE
    assert caught.value.hint


@pytest.mark.parametrize(
    "text", ["ws://u:hunter2@h/", "https://hunter2@h:1/x", "http://u:hunter2@[::1", "hunter2@h:1"]
)
def test_a_password_is_refused_and_never_shown(text: str) -> None:
    with pytest.raises(CliError) as caught:
        parse_endpoint(text)
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.9.9.9:1", True),
        ("http://[::1]:1", True),
        ("http://localhost:1", True),
        ("http://api.localhost:1", True),
        ("http://10.0.0.1:1", False),
        ("http://127.0.0.1.example.com", False),
        ("http://example.com", False),
    ],
)
def test_loopback_is_told_by_the_spelling(text: str, loopback: bool) -> None:
    assert parse_endpoint(text).is_loopback is loopback
