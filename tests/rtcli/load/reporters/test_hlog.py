"""HdrHistogram logs: the same bytes as the reference implementation makes, in a log as its readers want."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rtcli.load.metrics.histogram import Histogram
from rtcli.load.metrics.run_store import RunStore
from rtcli.load.metrics.store import Bins
from rtcli.load.reporters import hlog
from rtcli.load.reporters.outputs import write_outputs
from tests.support.load.sample_results import passing

VALUES = [1, 2, 2, 3, 1000, 2047, 2048, 5000, 1_000_000] + [77] * 300
# HdrHistogram(1, 3_600_000_000, 3) of hdrhistogram 0.10.3 (PyPI) with these values, encoded by it.
REFERENCE = "HISTFAAAADV4nJNpmSzMwMAgygABzFCaEURcm7yEwf4DVICJhWki4w2WzXxMqwWYmA4KM/2uYgIA5Z4J4g=="


def histogram(values: list[int]) -> Histogram:
    made = Histogram()
    for value in values:
        made.record(value)
    return made


def payload(text: str) -> bytes:
    """Inside base64 and compression: header and counts."""
    cookie, length = struct.unpack(">ii", base64.b64decode(text)[:8])
    assert cookie == 0x1C849314
    assert length == len(base64.b64decode(text)) - 8
    return zlib.decompress(base64.b64decode(text)[8:])


def decode(text: str) -> dict[int, int]:
    """Buckets and counts, read by the rules of the format."""
    content = payload(text)
    cookie, length, offset, digits, lowest, _highest, ratio = struct.unpack(">iiiiqqd", content[:40])
    assert (cookie, offset, digits, lowest, ratio) == (0x1C849313, 0, 3, 1, 1.0)
    assert length == len(content) - 40
    counts: dict[int, int] = {}
    index, at = 0, 40
    while at < len(content):
        value, shift = 0, 0
        while True:
            byte = content[at]
            at += 1
            if shift == 56:
                value |= byte << shift
                break
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        number = (value >> 1) ^ -(value & 1)
        if number < 0:
            index -= number
        else:
            if number:
                counts[index] = number
            index += 1
    return counts


def test_the_bytes_are_those_of_the_reference_implementation() -> None:
    assert payload(hlog.encode(histogram(VALUES))) == payload(REFERENCE)


@given(st.lists(st.integers(0, 2**40), max_size=60), st.integers(1, 2**55))
def test_what_is_written_can_be_read(values: list[int], times: int) -> None:
    made = histogram(values)
    made.record(12, times)
    assert decode(hlog.encode(made)) == made.counts


def test_a_log_has_a_line_for_each_second_and_metric() -> None:
    store = RunStore(Bins([("steady", 3.0)]))
    for second in range(3):
        for microseconds in (100, 2_000 + second):
            store.recorder("fanout_latency", role="reader").record(store.bins.at(second + 0.5), microseconds)
    text = hlog.render(1_700_000_000.25, hlog.intervals(store, ("fanout_latency", "recovery_time")))
    lines = text.splitlines()
    assert lines[1] == "#[Histogram log format version 1.3]"
    assert lines[2] == "#[StartTime: 1700000000.250 (seconds since epoch), 2023-11-14T22:13:20Z]"
    rows = [line.split(",") for line in lines[4:]]
    assert [row[:3] for row in rows] == [
        ["Tag=fanout_latency", f"17000000{second:02d}.250", "1.000"] for second in range(3)
    ]
    assert [row[3] for row in rows] == ["2.000", "2.001", "2.002"]
    assert all(sum(decode(row[4]).values()) == 2 for row in rows)


def test_a_tag_cannot_break_a_line() -> None:
    text = hlog.render(0, [hlog.Interval("a b,c\nd", 0, 1, histogram([1]))])
    assert "Tag=a_b_c_d,0.000,1.000,0.001,HISTF" in text


def test_it_is_left_with_the_other_results(tmp_path: Path) -> None:
    written = write_outputs(passing(), tmp_path, [hlog.Interval("x", 0, 1, histogram([1]))], warn=print)
    assert sorted(path.name for path in written) == [
        "evidence.ndjson",
        "junit.xml",
        "metrics.prom",
        "report.html",
        "samples.hlog",
        "summary.json",
    ]
    assert all(path.parent == tmp_path and path.is_file() for path in written)
