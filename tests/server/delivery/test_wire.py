"""The bytes: frames, batches, chunks."""

from __future__ import annotations

import pytest

from rtcli.protocol.codes import GapReason
from rtcli.protocol.position import Position
from rtcli.protocol.sse import SSEParser
from rtcli_server.delivery.wire import (
    CLOSE,
    Announcement,
    GapNotice,
    cut_reason,
    frame,
    header,
    join_events,
    join_frames,
    join_texts,
)
from tests.support.fakes.fanout import at, publication


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_the_length_takes_the_shortest_form(size: int, expected: bytes) -> None:
    """RFC 6455, section 5.2: "the minimal number of bytes MUST be used to encode the length"."""
    assert header(size) == expected


def test_other_opcodes() -> None:
    assert frame(b"\x03\xe8", CLOSE) == b"\x88\x02\x03\xe8"


@pytest.mark.parametrize("reason", ["x" * 200, "é" * 100, "😀" * 50, ""])
def test_a_reason_fits_into_a_control_frame(reason: str) -> None:
    cut = cut_reason(reason)
    assert len(cut.encode()) <= 123
    assert reason.startswith(cut)
    assert len(reason.encode()) <= 123 or len(cut.encode()) > 119


def test_batches_of_nothing_are_empty() -> None:
    assert not join_frames([])
    assert not join_texts([])
    assert join_events([Announcement(b"{}")]) is None


def test_events_with_a_suffix_are_what_a_stream_reads() -> None:
    gap = GapNotice("room:a", at(2), at(5), GapReason.TRIMMED, "t")
    batch = join_events([publication(1), Announcement(b"{}"), publication(2), gap])
    assert batch is not None
    assert batch.position == at(5)
    events = SSEParser().feed(batch.join(b",~me=abcd1234-7"))
    assert [(event.event, event.id) for event in events] == [
        ("new_message", "a=abcd1234-1,~me=abcd1234-7"),
        ("new_message", "a=abcd1234-2,~me=abcd1234-7"),
        ("gap", "a=abcd1234-5,~me=abcd1234-7"),
    ]
    assert len(SSEParser().feed(batch.join(b""))) == 3


@pytest.mark.parametrize("suffix", [b"", b",~me=abcd1234-7", b",~me=abcd1234-10", b",~me=abcd1234-8"])
def test_a_chunk_has_the_size_that_it_says(suffix: bytes) -> None:
    batch = join_events([publication(1), publication(2)])
    assert batch is not None
    chunk = suffix.join(batch.chunked(len(suffix)))
    size, _, rest = chunk.partition(b"\r\n")
    body = batch.join(suffix)
    assert int(size, 16) == len(body)
    assert rest == body + b"\r\n"


def test_a_gap_of_a_stream_of_events_names_the_channel() -> None:
    gap = GapNotice("user:7", Position("aaaa", 1), Position("bbbb", 3), GapReason.EPOCH_CHANGED, "t")
    assert b'"room":"~me"' in gap.text
    assert b'"lost":null' in gap.text
    assert b'"lost":0' in GapNotice("all", at(5), at(3), GapReason.TRIMMED, "t").text
