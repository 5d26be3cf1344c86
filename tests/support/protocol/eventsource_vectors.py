"""The wire formats of WPT's `eventsource/format-*` tests: the bytes that arrive, and what must come of them.

An event is (type, data, last event id). Tests of WPT that differ only in the API around the same bytes
are one row. `retry_ms` None: the stream never said it.
"""

from __future__ import annotations

from typing import NamedTuple

Events = list[tuple[str, str, str]]


class Vector(NamedTuple):
    """One stream, and what a parser makes of it."""

    name: str
    stream: bytes
    events: Events
    retry_ms: int | None = None
    last_event_id: str = ""


def m(data: str, last_event_id: str = "") -> tuple[str, str, str]:
    """An event of the type `message`."""
    return ("message", data, last_event_id)


_COMMENT = b"x" * 2048

VECTORS = [
    Vector(
        "event-data",
        b"data:msg\ndata: msg\n\n:\n\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\n:\n\ndata\n\n"
        b"data:end\n\n",
        [m("msg\nmsg"), m(""), m("end")],
    ),
    Vector("format-bom", b"\xef\xbb\xbfdata:1\n\n\xef\xbb\xbfdata:2\n\ndata:3\n\n", [m("1"), m("3")]),
    Vector("format-bom-2", b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\ndata:3\n\n", [m("2"), m("3")]),
    Vector(
        "format-comments",
        b"data:1\r:\0\n:\r\ndata:2\n:" + _COMMENT + b"\rdata:3\n:data:fail\r:" + _COMMENT + b"\ndata:4\n\n",
        [m("1\n2\n3\n4")],
    ),
    Vector(
        "format-data-before-final-empty-line",
        b"retry:1000\ndata:test1\n\nid:test\ndata:test2",
        [m("test1")],
        1000,
    ),
    Vector("format-field-data", b"data:\n\ndata\ndata\n\ndata:test\n\n", [m(""), m("\n"), m("test")]),
    Vector("format-field-event-empty", b"event: \ndata:data\n\n", [m("data")]),
    Vector("format-field-event", b"event:test\ndata:x\n\ndata:x\n\n", [("test", "x", ""), m("x")]),
    Vector("format-field-event-last", b"event:a\nevent:b\ndata:x\n\n", [("b", "x", "")]),
    Vector("format-field-id", b"id:\xe2\x80\xa6\nretry:200\ndata:hello\n\n", [m("hello", "…")], 200, "…"),
    Vector(
        "format-field-id-2",
        b"id: 1\ndata:1\n\ndata:2\n\nid: 2\ndata:3\n\nid\ndata:4\n\ndata:5\n\n",
        [m("1", "1"), m("2", "1"), m("3", "2"), m("4"), m("5")],
    ),
    Vector(
        "format-field-id-3", b"id\ndata:1\n\nid:1\ndata:2\n\nid:\ndata:3\n\n", [m("1"), m("2", "1"), m("3")]
    ),
    *(
        Vector(
            f"format-field-id-null-{i}",
            b"id: 1\ndata: x\n\nid: " + value + b"\ndata: y\n\n",
            [m("x", "1"), m("y", "1")],
            None,
            "1",
        )
        for i, value in enumerate([b"\0", b"a\0", b"\0a", b"a\0b", b"\0\0", b" \0"])
    ),
    Vector("format-field-id-alone", b"id:9\n\n", [], None, "9"),
    Vector("format-field-id-alone-then-data", b"id:9\n\ndata:x\n\n", [m("x", "9")], None, "9"),
    Vector(
        "format-field-parsing",
        b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n"
        b" data:32\ndata:4\n\n",
        [m("\0\n 2\n1\n3\n\n4")],
    ),
    Vector("format-field-parsing-colons", b"data:a:b\ndata: :c\n\n", [m("a:b\n:c")]),
    Vector("format-field-retry", b"retry:03000\ndata:x\n\n", [m("x")], 3000),
    Vector("format-field-retry-bogus", b"retry:3000\nretry:1000x\ndata:x\n\n", [m("x")], 3000),
    Vector("format-field-retry-empty", b"retry\nretry:\nretry: \ndata:test\n\n", [m("test")]),
    *(
        Vector(f"format-field-retry-{value!r}", b"retry:" + value + b"\ndata:x\n\n", [m("x")])
        for value in (b"+1", b"-5", b"1_000", b"  12", b"12 ", b"1.5", b"1e3", "١".encode(), b"0x10", b"1\t")
    ),
    Vector("format-field-retry-space", b"retry: 12\n\n", [], 12),
    Vector("format-field-retry-zero", b"retry:0\n\n", [], 0),
    Vector("format-field-retry-at-once", b"retry:77", []),
    Vector("format-field-retry-before-blank", b"retry:77\n", [], 77),
    Vector(
        "format-field-unknown",
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
        [m("test\n\ntest")],
    ),
    Vector("format-leading-space", b"data:\ttest\rdata: \ndata:test\n\n", [m("\ttest\n\ntest")]),
    Vector("format-newlines", b"data:test\r\ndata\ndata:test\r\n\r\n", [m("test\n\ntest")]),
    Vector("format-newlines-cr", b"data:a\rdata:b\r\rdata:c\r\r", [m("a\nb"), m("c")]),
    Vector("format-newlines-mixed", b"data:a\n\rdata:b\r\n\ndata:c\r\r\n", [m("a"), m("b"), m("c")]),
    Vector("format-newlines-lf-cr-lf", b"data:a\n\r\ndata:b\r\n\r\n\r\n", [m("a"), m("b")]),
    Vector(
        "format-newlines-only-these",
        b"data:a\x0bb\x0cc\x1cd\xc2\x85e\xe2\x80\xa8f\n\n",
        [m("a\x0bb\x0cc\x1cd\x85e\u2028f")],
    ),
    Vector("format-null-character", b"data:\0\n\n\n\n", [m("\0")]),
    Vector("format-utf-8", "data:ok…\n\n".encode(), [m("ok…")]),
    Vector(
        "format-utf-8-invalid",
        b"data:a\xffb\xed\xa0\x80c\xe2\x82\n\n",
        [m("a\ufffdb\ufffd\ufffd\ufffdc\ufffd")],
    ),
    Vector("format-field-event-reset", b"event:a\n\ndata:x\n\n", [m("x")]),
    Vector("format-field-event-survives-comments", b"event:a\n:c\ndata:x\n\n", [("a", "x", "")]),
    Vector(
        "keep-alive-comments-are-no-events", b"id:1\ndata:x\n\n: ping\n\n:\n\n\n\n", [m("x", "1")], None, "1"
    ),
    Vector("eventsource-reconnect", b"retry: 2\ndata: opened\n\n", [m("opened")], 2),
    Vector("nothing", b"", []),
    Vector("only-a-bom", b"\xef\xbb\xbf", []),
    Vector("half-a-bom", b"\xef\xbbdata:1\n\ndata:2\n\n", [m("2")]),
    Vector("a-blank-line-after-the-bom", b"\xef\xbb\xbf\ndata:1\n\n", [m("1")]),
    Vector("a-bom-later", b"\n\xef\xbb\xbfdata:1\n\ndata:2\n\n", [m("2")]),
]
