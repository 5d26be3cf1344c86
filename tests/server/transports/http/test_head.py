"""The head of a request: what is understood, and what is refused (RFC 9112)."""

from __future__ import annotations

import pytest

from rtcli_server.problems import ProblemError
from rtcli_server.transports.http.head import Head, parse_head


def parse(line: str = "GET / HTTP/1.1", *fields: str, host: str | None = "a") -> Head:
    lines = [line, *([] if host is None else [f"Host: {host}"]), *fields, "", ""]
    return parse_head("\r\n".join(lines).encode("latin-1"), 100)


def refused(line: str = "GET / HTTP/1.1", *fields: str, host: str | None = "a") -> int:
    with pytest.raises(ProblemError) as caught:
        parse(line, *fields, host=host)
    return caught.value.status


def test_a_request() -> None:
    head = parse("GET /a%20b/c?d=%20&e HTTP/1.1", "X-Y:  z \t", "x-y: \xe9", "Empty:")
    assert (head.method, head.raw_path, head.path, head.query) == ("GET", b"/a%20b/c", "/a b/c", b"d=%20&e")
    assert head.headers == [(b"host", b"a"), (b"x-y", b"z"), (b"x-y", b"\xe9"), (b"empty", b"")]
    assert head.http_version == "1.1"
    assert head.keep_alive
    assert not head.has_body
    assert head.target == b"/a%20b/c?d=%20&e"


@pytest.mark.parametrize(
    ("version", "read_as"), [("1.0", "1.0"), ("1.1", "1.1"), ("1.2", "1.1"), ("1.9", "1.1")]
)
def test_versions_that_are_read(version: str, read_as: str) -> None:
    assert parse(f"GET / HTTP/{version}").http_version == read_as


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /", 400),
        ("GET / HTTP/0.9", 400),
        ("GET / HTTP/2.0", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET / HTTP/9.9", 505),
        ("GET / HTTP/11.1", 400),
        ("GET / HTTP/1.11", 400),
        ("GET / HTTP/1", 400),
        ("GET / http/1.1", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        (" GET / HTTP/1.1", 400),
        ("GET /a b HTTP/1.1", 400),
        ("GET /\xe9 HTTP/1.1", 400),
        ("GET /a#b HTTP/1.1", 400),
        ("GET a HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("CONNECT a:80 HTTP/1.1", 400),
        ("GET ftp://a/ HTTP/1.1", 400),
        ("GET http:/// HTTP/1.1", 400),
        ("GET http://u@a/ HTTP/1.1", 400),
        ("G\tET / HTTP/1.1", 400),
        ("NEVERHEARD / HTTP/1.1", 501),
    ],
)
def test_request_lines_that_are_refused(line: str, status: int) -> None:
    assert refused(line) == status


@pytest.mark.parametrize(
    "host",
    ["a", "A.b-c_d", "a:80", "a:", "127.0.0.1:8000", "[::1]", "[::1]:8000", "a%20b", "xn--bcher-kva.example"],
)
def test_hosts(host: str) -> None:
    assert parse(host=host).headers == [(b"host", host.encode())]


@pytest.mark.parametrize(
    "host", ["", "a b", "a/b", "a:b", "a:8000000", "u@a", "[::1", "::1", "a\xe9", "a?b", "a#b"]
)
def test_hosts_that_are_none(host: str) -> None:
    assert refused(host=host) == 400
    assert refused("GET / HTTP/1.0", host=host) == 400


def test_the_number_of_hosts() -> None:
    """RFC 9112, section 3.2."""
    assert refused(host=None) == 400
    assert refused("GET / HTTP/1.1", "Host: a") == 400
    assert refused("GET / HTTP/1.0", "Host: b") == 400
    assert parse("GET / HTTP/1.0", host=None).headers == []
    assert refused("GET / HTTP/1.9", host=None) == 400


@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        ("http://b/c?d", b"/c", b"d", b"b"),
        ("HTTPS://b:1/", b"/", b"", b"b:1"),
        ("http://b", b"/", b"", b"b"),
        ("http://b?c", b"/", b"c", b"b"),
    ],
)
def test_the_absolute_form(target: str, path: bytes, query: bytes, host: bytes) -> None:
    """RFC 9112, section 3.2.2: its host takes the place of the one in `Host`."""
    head = parse(f"GET {target} HTTP/1.1", "X: y")
    assert (head.raw_path, head.query) == (path, query)
    assert head.headers == [(b"host", host), (b"x", b"y")]


def test_the_asterisk_form() -> None:
    assert parse("OPTIONS * HTTP/1.1").path == "*"


@pytest.mark.parametrize(
    "field",
    ["A B: c", "A : b", ": b", "A", "A: b\x00", "A: b\rc", "A: b\nC: d", "A: b\r\n c", "\xe9: b", "A(: b"],
)
def test_fields_that_are_none(field: str) -> None:
    assert refused("GET / HTTP/1.1", field) == 400


def test_too_many_fields() -> None:
    assert len(parse("GET / HTTP/1.1", *["A: b"] * 99).headers) == 100
    assert refused("GET / HTTP/1.1", *["A: b"] * 100) == 431


def test_how_a_body_is_framed() -> None:
    assert parse("POST / HTTP/1.1", "Content-Length: 12").content_length == 12
    assert not parse("POST / HTTP/1.1", "Content-Length: 0").has_body
    assert parse("POST / HTTP/1.1", "Transfer-Encoding: Chunked").chunked
    assert parse("POST / HTTP/1.0", "Content-Length: 12").content_length == 12


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (["Content-Length: -1"], 400),
        (["Content-Length: +1"], 400),
        (["Content-Length: 1, 1"], 400),
        (["Content-Length: 1", "Content-Length: 1"], 400),
        (["Content-Length: 0x1"], 400),
        (["Content-Length: \xb2"], 400),
        (["Content-Length:"], 400),
        (["Content-Length: 99999999999999999999"], 400),
        (["Content-Length: 1", "Transfer-Encoding: chunked"], 400),
        (["Transfer-Encoding: chunked", "Content-Length: 1"], 400),
        (["Transfer-Encoding: gzip, chunked"], 501),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 501),
        (["Transfer-Encoding: chunked, identity"], 400),
        (["Transfer-Encoding: xchunked"], 400),
        (["Transfer-Encoding: \x0bchunked"], 400),
        (["Transfer-Encoding:"], 501),
    ],
)
def test_bodies_that_cannot_be_framed(fields: list[str], status: int) -> None:
    assert refused("POST / HTTP/1.1", *fields) in {status, 400}


def test_http_1_0_has_no_transfer_encoding() -> None:
    assert refused("POST / HTTP/1.0", "Transfer-Encoding: chunked") == 400


@pytest.mark.parametrize(
    ("line", "fields", "kept"),
    [
        ("GET / HTTP/1.1", [], True),
        ("GET / HTTP/1.1", ["Connection: CLOSE"], False),
        ("GET / HTTP/1.1", ["Connection: keep-alive", "Connection: upgrade , close"], False),
        ("GET / HTTP/1.1", ["Connection: closed"], True),
        ("GET / HTTP/1.0", [], False),
        ("GET / HTTP/1.0", ["Connection: keep-alive"], False),
    ],
)
def test_whether_the_connection_is_kept(line: str, fields: list[str], kept: bool) -> None:
    assert parse(line, *fields).keep_alive is kept


def test_an_upgrade_is_noticed_whatever_it_is_for() -> None:
    for name in ("websocket", "h2c", "TLS/1.2", ""):
        head = parse("POST / HTTP/1.1", "Connection: upgrade", f"Upgrade: {name}", "Content-Length: 5")
        assert head.asks_for_upgrade
        assert head.content_length == 5
    assert not parse("GET / HTTP/1.0", "Connection: upgrade", "Upgrade: websocket").asks_for_upgrade


def test_a_client_that_waits_for_100() -> None:
    assert parse("POST / HTTP/1.1", "Expect: 100-Continue").expects_continue
    assert not parse("POST / HTTP/1.0", "Expect: 100-continue").expects_continue
    assert not parse("POST / HTTP/1.1", "Expect: something").expects_continue
