"""The head of a response, and its framing for every kind of request."""

from __future__ import annotations

import pytest

from rtcli_server.problems import ProblemError
from rtcli_server.transports.http.response import Framing, ResponseHead, encode_head, problem_bytes

SIZED = [(b"Content-Length", b"5")]


def encode(
    status: int = 200,
    fields: list[tuple[bytes, bytes]] | None = None,
    *,
    method: str = "GET",
    version: str = "1.1",
    keep_alive: bool = True,
) -> ResponseHead:
    return encode_head(status, fields or [], method=method, http_version=version, keep_alive=keep_alive)


def test_a_head() -> None:
    head = encode(200, [(b"A", b"b"), (b"content-length", b"5")])
    assert head.data == b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 5\r\n\r\n"
    assert (head.framing, head.length, head.keep_alive) == (Framing.LENGTH, 5, True)
    assert encode(599, SIZED).data.startswith(b"HTTP/1.1 599 \r\n")


def test_how_the_body_is_framed() -> None:
    assert encode().framing is Framing.CHUNKED
    assert b"\r\ntransfer-encoding: chunked\r\n" in encode().data
    for head in (encode(method="HEAD"), encode(204), encode(304), encode(200, SIZED, method="HEAD")):
        assert head.framing is Framing.NONE
        assert b"transfer-encoding" not in head.data
    assert b"content-length: 5" in encode(200, SIZED, method="HEAD").data


def test_http_1_0_gets_no_transfer_encoding() -> None:
    """RFC 9112, section 6.1. The end of such a body is that of the connection, even if it was to be kept."""
    head = encode(fields=[(b"transfer-encoding", b"chunked")], version="1.0")
    assert b"transfer-encoding" not in head.data
    assert head.framing is Framing.CLOSE
    assert not head.keep_alive
    assert b"connection: close" in head.data
    assert encode(200, SIZED, version="1.0").framing is Framing.LENGTH


@pytest.mark.parametrize(
    "field", [(b"a b", b"c"), (b"a", b"b\r\nc: d"), (b"a", b"\n"), (b"a:", b"b"), (b"\xe9", b"b")]
)
def test_what_is_no_field(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="not a header field"):
        encode(200, [field])


def test_connection_options_are_in_one_field() -> None:
    head = encode(426, [(b"connection", b"upgrade"), *SIZED], keep_alive=False)
    assert head.data.count(b"connection:") == 1
    assert b"\r\nconnection: upgrade, close\r\n" in head.data
    closing = encode(200, [(b"Connection", b"Close"), *SIZED])
    assert b"\r\nconnection: close\r\n" in closing.data
    assert not closing.keep_alive
    assert b"connection" not in encode(200, SIZED).data


def test_a_problem_is_a_whole_response() -> None:
    head, _, body = problem_bytes(ProblemError(400, detail="é")).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 400 Bad Request"
    assert "connection: close" in lines
    assert f"content-length: {len(body)}" in lines
    assert "é".encode() in body
