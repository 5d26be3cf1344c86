"""Bodies, split anywhere, with the next request behind them; and the limits of what is not content."""

from __future__ import annotations

import pytest

from rtcli_server.problems import ProblemError
from rtcli_server.transports.http.body import (
    MAX_LINE,
    MAX_OVERHEAD,
    Body,
    ChunkedBody,
    SizedBody,
)

NEXT = b"GET / HTTP/1.1\r\n"


def read(body: Body, data: bytes, step: int) -> tuple[bytes, bytes]:
    """Feed `data` in pieces of `step` bytes; return the content, and what is left behind the body."""
    buffer, content = bytearray(), b""
    for start in range(0, len(data), step):
        buffer += data[start : start + step]
        if not body.done:
            content += body.take(buffer)
    return content, bytes(buffer)


CHUNKED = {
    "two chunks": (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
    "nothing": (b"0\r\n\r\n", b""),
    "upper case and leading zeros": (b"000A\r\n0123456789\r\n00\r\n\r\n", b"0123456789"),
    "extensions": (b'3;a;b=c;d="e;f"\r\nabc\r\n0;x\r\n\r\n', b"abc"),
    "spaces before an extension": (b"3 \t;a\r\nabc\r\n0\r\n\r\n", b"abc"),
    "trailers": (b"3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\nX:\r\n\r\n", b"abc"),
    "line ends inside": (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
}


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1_000])
@pytest.mark.parametrize(("data", "content"), CHUNKED.values(), ids=CHUNKED)
def test_chunks(data: bytes, content: bytes, step: int) -> None:
    body = ChunkedBody()
    assert read(body, data + NEXT, step) == (content, NEXT)
    assert body.done


@pytest.mark.parametrize("step", [1, 4, 100])
def test_a_length(step: int) -> None:
    body = SizedBody(5)
    assert read(body, b"hello" + NEXT, step) == (b"hello", NEXT)
    assert body.done


BAD = {
    "no size": b"\r\nabc",
    "not hexadecimal": b"g\r\n",
    "a sign": b"+3\r\nabc\r\n",
    "0x": b"0x3\r\nabc\r\n",
    "a space before": b" 3\r\nabc\r\n",
    "a size beyond all memory": b"fffffffffffffffff\r\n",
    "a negative size in 64 bits": b"ffffffffffffffff\r\n",
    "more than the size": b"3\r\nabcd\r\n",
    "LF alone": b"3\nabc\r\n\r\n",
    "CR inside": b"3;a\rb\r\nabc\r\n",
    "NUL inside": b"3;\x00\r\nabc\r\n",
    "a trailer without a colon": b"0\r\nabc\r\n\r\n",
    "a trailer with a space in its name": b"0\r\na b: c\r\n\r\n",
    "a folded trailer": b"0\r\na: b\r\n c\r\n\r\n",
}


@pytest.mark.parametrize("step", [1, 1_000])
@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_chunk(data: bytes, step: int) -> None:
    with pytest.raises(ProblemError) as caught:
        read(ChunkedBody(), data + b"x" * 10, step)
    assert caught.value.status == 400


LONG = {
    "extension": b"3;" + b"x" * (MAX_LINE + 1),
    "extension with an end": b"3;" + b"x" * MAX_LINE + b"\r\nabc\r\n",
    "name of a trailer": b"0\r\n" + b"x" * (MAX_LINE + 1),
    "value of a trailer": b"0\r\nA: " + b"x" * MAX_LINE,
    "trailers": b"0\r\n" + b"A: b\r\n" * MAX_OVERHEAD,
    "extensions": (b"1;" + b"x" * 100 + b"\r\na\r\n") * MAX_OVERHEAD,
    "chunks of one byte": b"1\r\nx\r\n" * MAX_OVERHEAD,
    "leading zeros": b"0" * 100 + b"\r\n" * 2,
}


@pytest.mark.parametrize("step", [1, 1_000, 1_000_000])
@pytest.mark.parametrize("data", LONG.values(), ids=LONG)
def test_everything_that_is_not_content_has_a_limit(data: bytes, step: int) -> None:
    with pytest.raises(ProblemError) as caught:
        read(ChunkedBody(), data, step)
    assert caught.value.status in {400, 431}


@pytest.mark.parametrize(("size", "count"), [(1, 4_000), (8, 100_000)])
def test_small_chunks_are_all_right(size: int, count: int) -> None:
    chunk = b"%x\r\n" % size + b"x" * size + b"\r\n"
    content, rest = read(ChunkedBody(), chunk * count + b"0\r\n\r\n" + NEXT, 60_000)
    assert (content, rest) == (b"x" * size * count, NEXT)
