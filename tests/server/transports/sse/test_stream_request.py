"""What a request for an event stream asks for: media types, cursors, and whether it can be resumed."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from rtcli.protocol.position import MAX_OFFSET, Position, format_cursor
from rtcli_server.delivery.resumption import Resume
from rtcli_server.transports.sse.stream_request import (
    accepts_events,
    is_resumable,
    last_event_id,
    read_cursor,
)

CHANNELS = ["room:a", "user:7", "all"]
LIMIT = 16_384


@pytest.mark.parametrize(
    ("values", "accepted"),
    [
        ([], True),
        ([""], True),
        (["*/*"], True),
        (["text/event-stream"], True),
        (["Text/Event-Stream"], True),
        (["text/*"], True),
        (["text/event-stream; charset=utf-8"], True),
        (["application/json, text/event-stream;q=0.1"], True),
        (["application/json", "*/*;q=0.5"], True),
        (["text/html,application/xhtml+xml,*/*;q=0.8"], True),
        (["nonsense"], True),
        (["*/*;q=much"], True),
        (["application/json"], False),
        (["text/html"], False),
        (["*/*;q=0"], False),
        (["text/event-stream;q=0, */*"], False),  # the most specific range has precedence
        (["text/event-stream;q=0.0", "text/*"], False),
    ],
)
def test_s7_media_types(values: list[str], accepted: bool) -> None:
    assert accepts_events(values) is accepted


def test_a_cursor_is_read_for_the_channels_of_the_stream_alone() -> None:
    at = Position("k3f9", 4)
    text = format_cursor([("room:a", at), ("room:b", at), ("all", at)])
    asked = read_cursor(text, CHANNELS, user_channel="user:7")
    assert asked == Resume({"room:a": at, "all": at}, invalid=False)
    assert read_cursor("", CHANNELS, user_channel="user:7") == Resume({}, invalid=False)
    assert read_cursor("a=", CHANNELS, user_channel="user:7") == Resume({}, invalid=True)


@pytest.mark.parametrize("count", [1, 20, 43, 44, 60, 100])
def test_an_admitted_stream_can_be_resumed_with_every_cursor(count: int) -> None:
    channels = [f"room:{number:0128}" for number in range(count)]
    cursor = format_cursor([(name, Position("z" * 16, MAX_OFFSET)) for name in channels])
    for query in (b"", b"x=1&last_event_id=k3f9-1"):
        allowed = is_resumable(b"/s", query, [(b"host", b"a")], channels, max_head_bytes=2 * LIMIT)
        assert allowed == (len(cursor) + 2 <= 8_192)


def test_the_whole_head_of_the_next_request_counts() -> None:
    channels = [f"room:{number:0100}" for number in range(50)]
    query = b"&".join(b"room=%0100d" % number for number in range(50))

    def allowed(token_bytes: int) -> bool:
        headers = [(b"authorization", b"x" * token_bytes), (b"last-event-id", b"y" * 8_000)]
        return is_resumable(b"/s", query, headers, channels, max_head_bytes=LIMIT)

    assert allowed(1_000)
    assert not allowed(4_000)


@pytest.mark.parametrize("resumed", [False, True])
def test_the_request_that_resumes_by_the_parameter_counts(resumed: bool) -> None:
    """The limit at which a stream is admitted is the size of the longest request that may follow."""
    channels = [f"room:{number}é" for number in range(100)] + ["user:7", "all"]
    cursor = format_cursor([(name, Position("z" * 16, MAX_OFFSET)) for name in channels]).replace(
        "user%3A7", "~me"
    )
    query = urlencode([("token", "x" * 300)]).encode()
    next_query = query + b"&" + urlencode({"last_event_id": cursor}).encode()
    head = len(b"/s") + len(next_query) + len(b"host: a\r\n")
    if resumed:
        query += b"&last_event_id=k3f9-1"
        head += len(b"last-event-id: ") + len(cursor)

    def allowed(max_head_bytes: int) -> bool:
        return is_resumable(b"/s", query, [(b"host", b"a")], channels, max_head_bytes=max_head_bytes)

    spare = 256
    assert not allowed(head - spare)
    assert allowed(head + 2 * spare)
    least = next(size for size in range(head - spare, head + 2 * spare) if allowed(size))
    assert head <= least, "what is admitted fits when it resumes"


@pytest.mark.parametrize(
    ("headers", "parameters", "resumes_from"),
    [
        ([], [], ""),
        ([b"k3f9-1"], [], "k3f9-1"),
        ([], ["k3f9-1"], "k3f9-1"),
        ([b"k3f9-1"], ["k3f9-2"], "k3f9-1"),
        ([b""], ["k3f9-2"], "k3f9-2"),
        ([b""], [""], ""),
        ([b"", b""], ["", ""], ""),
        ([b"a", b"b"], [], "a, b"),
        ([], ["a", "b"], "a, b"),
    ],
)
def test_both_ways_of_resuming_are_alike(
    headers: list[bytes], parameters: list[str], resumes_from: str
) -> None:
    assert last_event_id([(b"last-event-id", value) for value in headers], parameters) == resumes_from
