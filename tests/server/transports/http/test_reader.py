"""Requests one at a time, out of bytes that are split anywhere."""

from __future__ import annotations

import pytest

from rtcli_server.problems import ProblemError
from rtcli_server.transports.http.reader import RequestReader

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
SIZED = (
    b"POST /%d HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n"
    b"Content-Length: 16\r\n\r\nGET / HTTP/1.1\r\n"
)
CHUNKED = b"POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n"
SEEN = {GET: b"", SIZED: b"GET / HTTP/1.1\r\n", CHUNKED: b"abc"}


def requests(data: bytes, step: int) -> list[tuple[str, bytes]]:
    """Read all requests of `data`, fed in pieces of `step` bytes: their paths and bodies."""
    reader = RequestReader(1_000, 10)
    found: list[tuple[str, bytes]] = []
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
        while True:
            if reader.in_body:
                path, body = found[-1]
                found[-1] = (path, body + reader.take_body())
                if reader.in_body:
                    break
            head = reader.next_head()
            if head is None:
                break
            found.append((head.path, b""))
    assert not reader.in_body
    assert not reader.waiting_bytes
    return found


@pytest.mark.parametrize("step", [1, 2, 3, 5, 17, 100_000])
def test_requests_split_anywhere(step: int) -> None:
    kinds = [GET, SIZED, CHUNKED, GET, CHUNKED, SIZED, SIZED, GET]
    data = b"".join(kind % number for number, kind in enumerate(kinds))
    assert requests(data, step) == [(f"/{number}", SEEN[kind]) for number, kind in enumerate(kinds)]


@pytest.mark.parametrize("step", [1, 100])
def test_empty_lines_before_a_request(step: int) -> None:
    """RFC 9112, section 2.2."""
    assert requests(b"\r\n\r\n" + GET % 1 + b"\r\n" + GET % 2, step) == [("/1", b""), ("/2", b"")]


def test_nothing_is_parsed_ahead() -> None:
    reader = RequestReader(1_000, 10)
    reader.feed(GET % 1 + b"\x00\x01\x02")
    assert reader.next_head() is not None
    assert reader.waiting_bytes == 3
    with pytest.raises(ProblemError):
        reader.next_head()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /\r\n", 400),
        (b"GET / HTTP/2.0\r\n", 505),
        (b"GET / FTP/1.1\r\n", 400),
        (b"\x16\x03\x01", 400),
        (b"GET /\x00", 400),
        (b"GET /\n", 400),
        (b"GET /" + b"x" * 1_000, 414),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 1_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200, 431),
        (b"GET /" + b"x" * 1_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 1_000 + b"\r\n\r\n", 431),
    ],
)
@pytest.mark.parametrize("step", [1, 10_000])
def test_a_head_that_cannot_become_one_is_refused_before_its_end(data: bytes, status: int, step: int) -> None:
    with pytest.raises(ProblemError) as caught:
        requests(data, step)
    assert caught.value.status == status


def test_a_head_of_just_the_limit() -> None:
    start = b"GET / HTTP/1.1\r\nHost: a\r\nA: "
    data = start + b"x" * (1_000 - len(start) - 4) + b"\r\n\r\n"
    assert len(requests(data, 10_000)) == 1
    with pytest.raises(ProblemError):
        requests(data.replace(b"xx", b"xxx", 1), 10_000)
