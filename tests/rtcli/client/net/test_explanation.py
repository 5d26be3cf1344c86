from __future__ import annotations

import pytest

from rtcli.client.net.explanation import explanation


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("application/json", b'{"error":{"message":"no such model.","type":"x"}}', "no such model"),
        ("application/json; charset=utf-8", b'{"error":"no"}', "no"),
        ("application/problem+json", b'{"title":"Bad","detail":"too many"}', "too many"),
        ("application/json", b'{"detail":[{"msg":"x"}],"title":"Bad"}', "Bad"),
        ("application/json", b'{"error":{}}', ""),
        ("application/json", b'["no"]', ""),
        ("application/json", b'{"error":', ""),
        ("application/json", b"\xff", ""),
        ("application/json", b'{"a":' * 5_000, ""),
        ("text/plain", b"missing subprotocol\r\nmore", "missing subprotocol"),
        ("text/plain", b"x" * 300, "x" * 200 + "\u2026"),
        ("text/plain", b"\xff", "\ufffd"),
        ("text/html", b"<h1>no</h1>", ""),
        ("", b"no", ""),
    ],
)
def test_what_an_error_says(kind: str, body: bytes, said: str) -> None:
    assert explanation(kind, body) == said
