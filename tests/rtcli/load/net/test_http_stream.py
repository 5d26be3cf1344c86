"""The HTTP side of event streams: whole, byte by byte, with what follows; and anything at all."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.load.net.http_stream import MAX_HEAD, HttpError, ResponseReader, encode_request

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
RESPONSES: dict[str, tuple[bytes, bytes, bool]] = {
    "until the end": (HEAD + b"\r\ndata: 1\n\ndata: 2\n\n", b"data: 1\n\ndata: 2\n\n", False),
    "with a length": (HEAD + b"Content-Length: 9\r\n\r\ndata: 1\n\n", b"data: 1\n\n", True),
    "empty": (HEAD + b"Content-Length: 0\r\n\r\n", b"", True),
    "chunked": (CHUNKED + b"5\r\nhello\r\n6;x=y\r\n world\r\n", b"hello world", False),
    "chunked to its end": (CHUNKED + b"0A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", True),
    "after an interim response": (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HEAD + b"\r\nx",
        b"x",
        False,
    ),
    "after several": (b"HTTP/1.1 100 Continue\r\n\r\n" * 16 + HEAD + b"\r\nx", b"x", False),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "no reason phrase": (b"HTTP/1.1 200\r\n\r\nx", b"x", False),
}


def read(pieces: list[bytes]) -> tuple[bytes, ResponseReader]:
    reader = ResponseReader()
    return b"".join(reader.feed(piece) for piece in pieces), reader


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_whole_and_byte_by_byte(name: str) -> None:
    response, body, done = RESPONSES[name]
    whole, reader = read([response])
    assert (whole, reader.done) == (body, done)
    single, reader = read([response[at : at + 1] for at in range(len(response))])
    assert (single, reader.done) == (body, done)


@given(st.data())
def test_a_response_cut_anywhere(data: st.DataObject) -> None:
    response, body, _ = RESPONSES[data.draw(st.sampled_from(sorted(RESPONSES)))]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(response)), max_size=8)))
    marks = [0, *cuts, len(response)]
    assert read([response[a:b] for a, b in itertools.pairwise(marks)])[0] == body


def test_nothing_behind_the_end_is_body() -> None:
    assert read([RESPONSES["with a length"][0] + b"more"])[0] == b"data: 1\n\n"
    assert read([RESPONSES["chunked to its end"][0] + b"more"])[0] == b"0123456789"


def test_fields_are_read_without_case() -> None:
    _, reader = read([b"HTTP/1.1 200 OK\r\nCONTENT-type:  text/event-stream \r\n\r\n"])
    assert reader.status == 200
    assert reader.fields == {"content-type": "text/event-stream"}


@pytest.mark.parametrize(
    "response",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"\x00\x01\x02\x03\x04\x05\x06\x07",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"1" * 5_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 17,
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD + b"\r\n\r\n",
        CHUNKED + b"xyz\r\n",
        CHUNKED + b"5\r\nhelloXX",
        CHUNKED + b"1" * 5000,
        CHUNKED + b"-5\r\n",
    ],
)
def test_what_is_not_http_is_said(response: bytes) -> None:
    with pytest.raises(HttpError):
        read([response])


@given(
    st.lists(st.binary(max_size=40) | st.sampled_from([CHUNKED, b"\r\n", b"5\r\n", b"HTTP/1.1 200 OK\r\n"]))
)
def test_anything_is_body_or_the_documented_error(pieces: list[bytes]) -> None:
    try:
        body, _ = read(pieces)
    except HttpError:
        return
    assert isinstance(body, bytes)


def test_a_request() -> None:
    request = encode_request("/events?room=a", "127.0.0.1:80", [("Accept", "text/event-stream")])
    assert (
        request == b"GET /events?room=a HTTP/1.1\r\nHost: 127.0.0.1:80\r\nAccept: text/event-stream\r\n\r\n"
    )


def test_an_id_of_any_characters_is_sent_back_as_it_came() -> None:
    """WHATWG HTML, section 9.2.1: the last event id is "encoded as UTF-8"."""
    assert "général-日".encode() in encode_request("/", "h", [("Last-Event-ID", "général-日")])


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0"])
def test_a_request_cannot_be_broken_out_of(value: str) -> None:
    with pytest.raises(ValueError, match="X-Name"):
        encode_request("/", "h", [("X-Name", value)])
