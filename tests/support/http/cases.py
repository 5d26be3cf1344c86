"""Requests, and what every server must understand: which requests they are, or that they are refused."""

from __future__ import annotations

from typing import NamedTuple

CLOSE = "Connection: close"


class Asked(NamedTuple):
    """A request as an application gets it. `target`: path and query."""

    method: str
    target: str
    body: bytes = b""


class Case(NamedTuple):
    """Bytes of one connection, the requests in them, and whether what follows those is refused.

    `strict`: we refuse what nginx accepts and mends; then `asked` is what arrives through it.
    """

    name: str
    sent: bytes
    asked: tuple[Asked, ...] = ()
    refused: bool = False
    strict: bool = False


def request(line: str, *fields: str, body: bytes = b"", host: str | None = "Host: a") -> bytes:
    """A request of HTTP/1.1, or of the version that stands in the line."""
    line = line if "HTTP/" in line else f"{line} HTTP/1.1"
    lines = [line, *([] if host is None else [host]), *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


GET, LAST = Asked("GET", "/healthz"), Asked("GET", "/readyz")
FOLLOWED = request("GET /readyz", CLOSE)
CHUNKED = "Transfer-Encoding: chunked"
EVENTS = "POST /api/v1/events"


def event(*fields: str, body: bytes = b"") -> bytes:
    """A publication, and a request after it: where that begins says where the body ended."""
    return request(EVENTS, *fields, body=body) + FOLLOWED


def posted(body: bytes) -> tuple[Asked, Asked]:
    """A publication, and the request after it."""
    return Asked("POST", "/api/v1/events", body), LAST


GOOD = (
    Case("a request", request("GET /healthz", CLOSE), (GET,)),
    Case(
        "a query and escapes",
        request("GET /a%2Fb/%c3%a9?x=%20&y", CLOSE),
        (Asked("GET", "/a%2Fb/%c3%a9?x=%20&y"),),
    ),
    Case("HEAD", request("HEAD /healthz") + FOLLOWED, (Asked("HEAD", "/healthz"), LAST)),
    Case("three in a row", request("GET /healthz") * 2 + FOLLOWED, (GET, GET, LAST)),
    Case("an empty line before", b"\r\n" + request("GET /healthz", CLOSE), (GET,)),
    Case("a body", event("Content-Length: 2", body=b"{}"), posted(b"{}")),
    Case("no body", event("Content-Length: 0"), posted(b"")),
    Case("a length with zeros", event("Content-Length: 002", body=b"{}"), posted(b"{}")),
    Case("chunks", event(CHUNKED, body=b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"), posted(b"{}")),
    Case(
        "sizes of chunks", event(CHUNKED, body=b"00B\r\n{         }\r\n000\r\n\r\n"), posted(b"{         }")
    ),
    Case("extensions", event(CHUNKED, body=b'2;a=b;c="d"\r\n{}\r\n0;e\r\n\r\n'), posted(b"{}")),
    Case(
        "trailers",
        event(CHUNKED, body=b"2\r\n{}\r\n0\r\nHost: b\r\nContent-Length: 9\r\n\r\n"),
        posted(b"{}"),
    ),
    Case("CHUNKED", event("transfer-encoding:CHUNKED", body=b"2\r\n{}\r\n0\r\n\r\n"), posted(b"{}")),
    Case("100-continue", event("Expect: 100-continue", "Content-Length: 2", body=b"{}"), posted(b"{}")),
    Case(
        "a request within a body", event(f"Content-Length: {len(FOLLOWED)}", body=FOLLOWED), posted(FOLLOWED)
    ),
    Case(
        "h2c with a body",
        event("Upgrade: h2c", "Connection: Upgrade", "Content-Length: 2", body=b"{}"),
        posted(b"{}"),
    ),
    Case(
        "TLS/1.2 and chunks",
        event("Upgrade: TLS/1.2", "Connection: Upgrade", CHUNKED, body=b"2\r\n{}\r\n0\r\n\r\n"),
        posted(b"{}"),
    ),
    Case("absolute form", request("GET http://a/healthz", CLOSE), (GET,)),
    Case("HTTP/1.0", request("GET /healthz HTTP/1.0"), (GET,)),
    Case("HTTP/1.0 without a host", request("GET /healthz HTTP/1.0", host=None), (GET,)),
    Case("nothing is read after close", request("GET /healthz", CLOSE) + FOLLOWED, (GET,)),
    Case(
        "odd fields",
        request("GET /healthz", "X-Empty:", "X-Spaces: \t a \t ", "X-Bytes: \xe9", CLOSE),
        (GET,),
    ),
)

BAD_BODY = tuple(
    Case(f"chunked: {name}", request("GET /healthz") + event(CHUNKED, body=body), (GET,), refused=True)
    for name, body in {
        "no size": b"\r\n{}\r\n0\r\n\r\n",
        "not a size": b"2x\r\n{}\r\n0\r\n\r\n",
        "a sign": b"+2\r\n{}\r\n0\r\n\r\n",
        "0x": b"0x2\r\n{}\r\n0\r\n\r\n",
        "huge": b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "more than its size": b"1\r\n{}\r\n0\r\n\r\n",
    }.items()
)
BAD = tuple(
    Case(name, request("GET /healthz") + sent + FOLLOWED, (GET,), refused=True)
    for name, sent in {
        "no host": request("GET /a", host=None),
        "two hosts": request("GET /a", "Host: b"),
        "an invalid host": request("GET /a", host="Host: a/b"),
        "length and chunked": request(EVENTS, "Content-Length: 2", CHUNKED, body=b"2\r\n{}\r\n0\r\n\r\n"),
        "chunked and length": request(EVENTS, CHUNKED, "Content-Length: 2", body=b"2\r\n{}\r\n0\r\n\r\n"),
        "two lengths": request(EVENTS, "Content-Length: 2", "Content-Length: 3", body=b"{ }"),
        "the same length twice": request(EVENTS, "Content-Length: 2", "Content-Length: 2", body=b"{}"),
        "a list of lengths": request(EVENTS, "Content-Length: 2, 2", body=b"{}"),
        "a negative length": request(EVENTS, "Content-Length: -2"),
        "a length with a sign": request(EVENTS, "Content-Length: +2", body=b"{}"),
        "a length in hex": request(EVENTS, "Content-Length: 0x2", body=b"{}"),
        "a length beyond all bounds": request(EVENTS, "Content-Length: 99999999999999999999", body=b"{}"),
        "another coding": request(EVENTS, "Transfer-Encoding: gzip", body=b"{}"),
        "two codings": request(EVENTS, "Transfer-Encoding: gzip, chunked", body=b"2\r\n{}\r\n0\r\n\r\n"),
        "chunked twice": request(EVENTS, CHUNKED, CHUNKED, body=b"2\r\n{}\r\n0\r\n\r\n"),
        "chunked in HTTP/1.0": request(f"{EVENTS} HTTP/1.0", CHUNKED, body=b"2\r\n{}\r\n0\r\n\r\n"),
        "a space before the colon": request(EVENTS, "Content-Length : 2", body=b"{}"),
        "a folded line": request("GET /a", "X: a\r\n b"),
        "NUL in a value": request("GET /a", "X: a\0b"),
        "CR in a value": request("GET /a", "X: a\rb"),
        "a control character in the path": request("GET /a\x01b"),
        "a space in the path": request("GET /a b"),
        "no path": request("GET"),
        "HTTP/2": request("GET /a HTTP/2.0"),
        "HTTP/11": request("GET /a HTTP/11.0"),
        "no HTTP": request("GET /a JTTP/1.1"),
        "a method in lower case": request("get /a"),
        "CONNECT": request("CONNECT a:80"),
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    }.items()
)
STRICT = (
    Case("HTTP/0.9", b"GET /healthz\r\n", (GET,), strict=True),
    Case(
        "lines that end with LF",
        b"GET /healthz HTTP/1.1\nHost: a\nConnection: close\n\n",
        (GET,),
        strict=True,
    ),
    Case("a chunk that ends with LF", event(CHUNKED, body=b"2\n{}\n0\n\n"), posted(b"{}"), strict=True),
)
CASES = (*GOOD, *BAD_BODY, *BAD, *STRICT)
