"""Event streams. Each vector is read whole, byte by byte, in random pieces, and with more behind it."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.protocol.sse import (
    MAX_EVENT_BYTES,
    MAX_LINE_BYTES,
    MAX_RETRY_MS,
    ServerSentEvent,
    SSELimitError,
    SSEParser,
    encode_event,
)
from tests.support.protocol.eventsource_vectors import VECTORS, Events, Vector

vectors = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)


def read(parser: SSEParser, pieces: Iterable[bytes]) -> Events:
    return [(e.event, e.data, e.id) for piece in pieces for e in parser.feed(piece)]


def single_bytes(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


def random_pieces(stream: bytes, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    cuts = sorted(rng.choices(range(len(stream) + 1), k=8))  # empty pieces among them
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


# -- reading: the vectors ----------------------------------------------------------------------------------


def check(vector: Vector, pieces: Iterable[bytes]) -> None:
    parser = SSEParser()
    assert read(parser, pieces) == vector.events
    assert parser.retry_ms == vector.retry_ms
    assert parser.last_event_id == vector.last_event_id
    parser.end()
    assert parser.last_event_id == vector.last_event_id, "an unfinished event leaves no id"


@vectors
def test_whole(vector: Vector) -> None:
    check(vector, [vector.stream])


@vectors
def test_byte_by_byte(vector: Vector) -> None:
    check(vector, single_bytes(vector.stream))


@vectors
def test_in_pieces(vector: Vector) -> None:
    for seed in range(30):
        check(vector, random_pieces(vector.stream, seed))


@vectors
def test_with_more_behind_it(vector: Vector) -> None:
    parser = SSEParser()
    last = read(parser, [vector.stream + b"\n\nid: end\nevent: end\ndata: end\n\nid: lost\ndata: lost\n"])[-1]
    assert last == ("end", "end", "end")
    assert parser.last_event_id == "end"


@vectors
def test_as_a_second_stream(vector: Vector) -> None:
    parser = SSEParser()
    assert read(parser, [b"data: whole\n\ndata: half\r"]) == [("message", "whole", "")]
    parser.end()
    check_after = SSEParser()
    assert read(parser, [vector.stream]) == read(check_after, [vector.stream])


# -- reading: what the vectors do not say ------------------------------------------------------------------


def test_a_reconnect_goes_on_from_a_known_id() -> None:
    parser = SSEParser()
    parser.last_event_id = "k3f9-1"
    assert read(parser, [b"data: x\n\n"]) == [("message", "x", "k3f9-1")]
    read(parser, [b"id: k3f9-2\nretry: 5\ndata: y\n\nid: k3f9-3\ndata: unfinished\n"])
    parser.end()
    assert (parser.last_event_id, parser.retry_ms) == ("k3f9-2", 5)
    assert read(parser, [b"\n", b"data: z\n\n"]) == [("message", "z", "k3f9-2")]


def test_an_lf_after_the_end_of_a_stream_belongs_to_the_next() -> None:
    parser = SSEParser()
    assert read(parser, [b"data: x\r\r"]) == [("message", "x", "")]
    parser.end()
    assert read(parser, [b"\ndata: y\n\n"]) == [("message", "y", "")]


def test_the_event_comes_with_its_cr_and_does_not_wait_for_an_lf() -> None:
    parser = SSEParser()
    assert read(parser, [b"data: x\r\n\r"]) == [("message", "x", "")]
    assert read(parser, [b"\n"]) == []
    assert read(parser, [b"data: y\n\n"]) == [("message", "y", "")]


@pytest.mark.parametrize("digits", [b"9" * 16, b"9" * 17, b"9" * 5_000, b"9007199254740992"])
def test_a_retry_beyond_measure_is_cut(digits: bytes) -> None:
    parser = SSEParser()
    parser.feed(b"retry: " + digits + b"\n")
    assert parser.retry_ms == MAX_RETRY_MS


def test_leading_zeros_do_not_count() -> None:
    parser = SSEParser()
    parser.feed(b"retry: " + b"0" * 5_000 + b"30\n")
    assert parser.retry_ms == 30


# -- limits ------------------------------------------------------------------------------------------------

LINE = 64
EVENT = 100


def limited() -> SSEParser:
    return SSEParser(max_line_bytes=LINE, max_event_bytes=EVENT)


def read_until_it_fails(stream: bytes, pieces: Iterable[bytes]) -> tuple[Events, bool]:
    """The events, and whether the stream went over a limit."""
    parser = limited()
    events: Events = []
    try:
        for piece in pieces:
            events += read(parser, [piece])
        parser.end()
    except SSELimitError:
        return events, True
    assert stream is not None
    return events, False


FINE = b"data: fine\n\n"


@pytest.mark.parametrize(
    ("stream", "fails"),
    [
        (FINE + b"data:" + b"x" * (LINE - 5) + b"\n\n", False),
        (FINE + b"data:" + b"x" * (LINE - 4) + b"\n\n", True),
        (FINE + b":" + b"x" * (LINE - 1), False),
        (FINE + b":" + b"x" * LINE, True),
        (FINE + b":" + b"x" * LINE + b"\n\n", True),
        (b"\xef\xbb\xbf:" + b"x" * (LINE - 4) + b"\n" + FINE, False),
        (b"\xef\xbb\xbf:" + b"x" * (LINE - 3) + b"\n" + FINE, True),
        (b"data:" + b"x" * 49 + b"\ndata:" + b"x" * 49 + b"\n\n" + FINE, False),
        (b"data:" + b"x" * 49 + b"\ndata:" + b"x" * 50 + b"\n\n" + FINE, True),
        (b"data:" + b"x" * 49 + b"\ndata:" + b"x" * 50, False),
        (FINE + b"data\n" * EVENT + b"\n" + FINE, False),
        (FINE + b"data\n" * (EVENT + 1) + b"\n" + FINE, True),
        (b"id: 1\n" * 1_000 + FINE * 100, False),
    ],
)
def test_limits(stream: bytes, fails: bool) -> None:
    whole = read_until_it_fails(stream, [stream])
    assert whole[1] is fails
    assert ("message", "fine", "") in whole[0] or stream.startswith((b"data:x", b"\xef")) or b"id" in stream
    assert read_until_it_fails(stream, single_bytes(stream)) == whole
    for seed in range(30):
        assert read_until_it_fails(stream, random_pieces(stream, seed)) == whole


def test_events_before_the_limit_come_first_and_the_stream_is_over() -> None:
    parser = limited()
    assert read(parser, [FINE + b"x" * 200]) == [("message", "fine", "")]
    for _ in range(2):
        with pytest.raises(SSELimitError, match="64 bytes"):
            parser.feed(FINE)
    with pytest.raises(SSELimitError):
        parser.end()
    assert read(parser, [FINE]) == [("message", "fine", "")], "the next stream is read again"


def test_the_limits_by_default() -> None:
    parser = SSEParser()
    lines = MAX_EVENT_BYTES // 65_000
    event = (b"data:" + b"x" * 64_999 + b"\n") * lines + b"\n"
    assert len(read(parser, [event])[0][1]) == 65_000 * lines - 1
    with pytest.raises(SSELimitError):
        parser.feed(b"x" * (MAX_LINE_BYTES + 1))


def test_one_byte_at_a_time_costs_no_more_than_a_line() -> None:
    parser = SSEParser()
    for _ in range(MAX_LINE_BYTES - 5):
        assert parser.feed(b"x") == []
    assert read(parser, [b"\ndata:y\n\n"]) == [("message", "y", "")]


# -- writing -----------------------------------------------------------------------------------------------


def test_all_fields() -> None:
    assert (
        encode_event(id="a=k3f9-1", event="new_message", data='{"x":1}', retry_ms=3000)
        == b'retry: 3000\nid: a=k3f9-1\nevent: new_message\ndata: {"x":1}\n\n'
    )


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ("", b"data: \n"),
        ("a", b"data: a\n"),
        ("a\nb\rc\r\nd", b"data: a\ndata: b\ndata: c\ndata: d\n"),
        ("a\n", b"data: a\ndata: \n"),
        ("\n", b"data: \ndata: \n"),
        ("\n\nevent: x\nid: 9", b"data: \ndata: \ndata: event: x\ndata: id: 9\n"),
        (" a", b"data:  a\n"),
        (":", b"data: :\n"),
        ("\0", b"data: \0\n"),
        (b"\xc3\xa9", b"data: \xc3\xa9\n"),
        ("\x0b\x85\u2028", b"data: \x0b\xc2\x85\xe2\x80\xa8\n"),
    ],
)
def test_data_stays_data(data: str | bytes, lines: bytes) -> None:
    assert encode_event(data=data) == lines + b"\n"


@pytest.mark.parametrize("text", ["a\nb", "a\r", "\r\n", "a\0b", "\n\ndata: x"])
def test_ids_and_names_are_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="id must not contain CR, LF or NUL"):
        encode_event(id=text)
    with pytest.raises(ValueError, match="event must not contain CR, LF or NUL"):
        encode_event(event=text)


def test_a_retry_is_not_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        encode_event(retry_ms=-1)


lines_of_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))
all_text = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    lines_of_text, lines_of_text, all_text, st.none() | st.integers(0, MAX_RETRY_MS), st.integers(0, 2**32)
)
def test_an_event_survives_the_wire(id_: str, name: str, data: str, retry_ms: int | None, seed: int) -> None:
    stream = encode_event(id=id_, event=name, data=data, retry_ms=retry_ms) + b": x\n\n"
    parser = SSEParser()
    expected = data.replace("\r\n", "\n").replace("\r", "\n")
    assert read(parser, random_pieces(stream, seed)) == [(name or "message", expected, id_)]
    assert (parser.last_event_id, parser.retry_ms) == (id_, retry_ms)


@given(lines_of_text)
def test_a_comment_says_nothing(text: str) -> None:
    parser = SSEParser()
    assert read(parser, [f": {text}\n\n".encode(), encode_event(data="x")]) == [("message", "x", "")]
    assert (parser.last_event_id, parser.retry_ms) == ("", None)


def test_without_data_nothing_is_dispatched() -> None:
    parser = SSEParser()
    assert read(parser, [encode_event(id="7", retry_ms=5)]) == []
    assert (parser.last_event_id, parser.retry_ms) == ("7", 5)


# -- against the standard, word by word --------------------------------------------------------------------


def by_the_book(stream: bytes) -> list[ServerSentEvent]:
    """Section 9.2.6 as it is written, on a whole stream, without any thought of speed."""
    text = stream.decode("utf-8", "replace")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    events: list[ServerSentEvent] = []
    data = event_type = last_event_id = ""
    for line in text.split("\n")[:-1]:
        if not line:
            if data:
                events.append(
                    ServerSentEvent(event_type or "message", data.removesuffix("\n"), last_event_id)
                )
            data = event_type = ""
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            event_type = value
        elif field == "data":
            data += value + "\n"
        elif field == "id" and "\0" not in value:
            last_event_id = value
    return events


_pieces = st.sampled_from(
    [b"data", b"id", b"event", b"retry", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"x", b"1", b"\0",
     b"\xef\xbb\xbf", b"\xff", "é".encode(), b"\t", b"data: x\n\n", b"id: 1\n"]
)  # fmt: skip


@given(st.lists(_pieces, max_size=60).map(b"".join), st.integers(0, 2**32))
def test_any_stream_is_read_as_the_standard_says(stream: bytes, seed: int) -> None:
    expected = by_the_book(stream)
    for pieces in ([stream], single_bytes(stream), random_pieces(stream, seed)):
        parser = SSEParser()
        assert [event for piece in pieces for event in parser.feed(piece)] == expected
