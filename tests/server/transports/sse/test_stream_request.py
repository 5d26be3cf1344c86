"""What a request for an event stream asks for: media types, cursors, and whether it can be resumed."""

from __future__ import annotations

import pytest

from rtcli.protocol.position import MAX_OFFSET, Position, format_cursor
from rtcli_server.transports.sse.stream_request import (
    StreamRequest,
    accepts_events,
    is_resumable,
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
    assert asked == StreamRequest(CHANNELS, {"room:a": at, "all": at}, invalid=False)
    assert read_cursor("", CHANNELS, user_channel="user:7") == StreamRequest(CHANNELS, {}, invalid=False)
    assert read_cursor("a=", CHANNELS, user_channel="user:7") == StreamRequest(CHANNELS, {}, invalid=True)


@pytest.mark.parametrize("count", [1, 20, 43, 44, 60, 100])
def test_an_admitted_stream_can_be_resumed_with_every_cursor(count: int) -> None:
    channels = [f"room:{number:0128}" for number in range(count)]
    cursor = format_cursor([(name, Position("z" * 16, MAX_OFFSET)) for name in channels])
    allowed = is_resumable(b"/s?", [(b"host", b"a")], channels, max_head_bytes=LIMIT)
    assert allowed == (len(cursor) + 2 <= 8_192)


def test_the_whole_head_of_the_next_request_counts() -> None:
    channels = [f"room:{number:0100}" for number in range(50)]
    path = b"/s?" + b"&".join(b"room=%0100d" % number for number in range(50))

    def allowed(token_bytes: int) -> bool:
        headers = [(b"authorization", b"x" * token_bytes), (b"last-event-id", b"y" * 8_000)]
        return is_resumable(path, headers, channels, max_head_bytes=LIMIT)

    assert allowed(1_000)
    assert not allowed(4_000)
