from __future__ import annotations

import pytest

from rtcli.apps.ws.outgoing import Encoding
from rtcli.apps.ws.render import (
    MAX_SHOWN,
    data_of,
    header_lines,
    lines_of,
    record_of,
    verbose_line,
)
from rtcli.client.raw.frames import Direction, Frame, Kind, Message

IN, OUT = Direction.IN, Direction.OUT
EVIL = "a\x1b[31mb\u202ec\r\n\td\x9b"


def text(said: str) -> Message:
    return Message(IN, Kind.TEXT, said.encode())


def test_a_text_in_a_pipe_keeps_its_lines_and_nothing_that_a_terminal_obeys() -> None:
    assert data_of(text('{"a":\n\t1}'), None, raw=False) == b'{"a":\n\t1}\n'
    assert data_of(text(EVIL), None, raw=False).decode() == "a\\x1b[31mb\\u202ec\\r\n\td\\x9b\n"
    assert data_of(text(EVIL), None, raw=True) == f"{EVIL}\n".encode()


@pytest.mark.parametrize(
    ("encoding", "data"),
    [(None, b"00ff\n"), (Encoding.HEX, b"00ff\n"), (Encoding.BASE64, b"AP8=\n"), (Encoding.RAW, b"\0\xff")],
)
def test_bytes_in_a_pipe(encoding: Encoding | None, data: bytes) -> None:
    assert data_of(Message(IN, Kind.BINARY, b"\0\xff"), encoding, raw=False) == data


def test_lines_on_a_terminal() -> None:
    assert lines_of(text(EVIL), None) == ["< a\\x1b[31mb\\u202ec\\r", "  \\td\\x9b"]
    assert lines_of(Message(OUT, Kind.BINARY, b"\0\xff"), None) == ["> binary, 2 bytes  00ff"]
    assert lines_of(Message(OUT, Kind.BINARY, b"\0\xff"), Encoding.BASE64) == ["> binary, 2 bytes  AP8="]
    (line,) = lines_of(text("x" * (MAX_SHOWN + 1)), None)
    assert line == f"< {'x' * MAX_SHOWN}… ({MAX_SHOWN + 1} bytes)"
    (line,) = lines_of(Message(IN, Kind.BINARY, b"x" * (MAX_SHOWN + 1)), None)
    assert len(line) < 2 * MAX_SHOWN + 100
    assert line.endswith("…")


def test_records() -> None:
    head = {"type": "frame", "ts": "now", "direction": "in"}
    assert record_of(text("hi"), "now") == {**head, "opcode": "text", "bytes": 2, "data": "hi"}
    assert record_of(Message(IN, Kind.BINARY, b"hi"), "now") == {
        **head, "opcode": "binary", "bytes": 2, "data": "aGk=", "encoding": "base64",
    }  # fmt: skip
    assert record_of(Message(IN, Kind.CLOSE, b"\x0f\xa1bye"), "now") == {
        **head, "opcode": "close", "bytes": 5, "code": 4001, "reason": "bye",
    }  # fmt: skip
    assert record_of(Message(IN, Kind.PING, b"\xff"), "now")["encoding"] == "base64"
    assert record_of(Message(IN, Kind.TEXT, b"ab", 2), "now")["fragments"] == 2
    assert list(record_of(text("hi"), "now"))[:2] == ["type", "ts"]


def test_frames_with_v() -> None:
    assert verbose_line(Frame(IN, Kind.TEXT, b"a\x1b", final=False), 0.5) == (
        "   0.500 s < text, 2 bytes, more follows  a\\x1b"
    )
    assert verbose_line(Frame(OUT, Kind.CLOSE, b"\x03\xe8"), 12) == "  12.000 s > close, 2 bytes  1000"
    assert verbose_line(Frame(IN, Kind.PING, b""), 0) == "   0.000 s < ping, 0 bytes"
    assert len(verbose_line(Frame(IN, Kind.TEXT, b"x" * 10_000), 0)) < 200


def test_heads_have_no_secrets() -> None:
    fields = [("Host", "h"), ("Authorization", "Bearer s3cret"), ("Cookie", "s3cret"), ("X-A", "b")]
    lines = header_lines("GET / HTTP/1.1", fields, ">")
    assert lines == ["> GET / HTTP/1.1", "> Host: h", "> Authorization: …", "> Cookie: …", "> X-A: b"]
