from __future__ import annotations

import pytest

from rtcli.protocol.jose import parse_object, parse_part
from rtcli.protocol.messages.strict_json import DoubledNameError, NotAcceptedError
from tests.support.forged_tokens import base64url


def test_a_header_is_read() -> None:
    assert parse_part("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9") == {"alg": "HS256", "typ": "JWT"}
    assert parse_part(base64url(b'{"a":{"b":[1,{"a":2}]},"b":1}')) == {"a": {"b": [1, {"a": 2}]}, "b": 1}


@pytest.mark.parametrize(
    "text",
    [
        '{"alg":"HS256","alg":"none"}',
        '{"alg":"HS256","alg":"HS256"}',
        '{"alg":"HS256","\\u0061lg":"none"}',  # the same name, written otherwise
        '{"jwk":{"kty":"oct","kty":"RSA"}}',
        '{"x":[{"a":1,"a":1}]}',
    ],
)
def test_a_name_that_occurs_twice_is_refused(text: str) -> None:
    with pytest.raises(DoubledNameError):
        parse_part(base64url(text.encode()))


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b'"alg"', b"\xff", b'{"a":NaN}', b"[" * 100_000, b"{", b"1" * 5_000]
)
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(NotAcceptedError):
        parse_object(raw)
    with pytest.raises(NotAcceptedError):
        parse_part(base64url(raw))


@pytest.mark.parametrize("segment", ["a", "aaaaa", "\u00e9\u00e9\u00e9\u00e9"])
def test_what_is_not_base64url_is_refused(segment: str) -> None:
    with pytest.raises(NotAcceptedError):
        parse_part(segment)
