from __future__ import annotations

import pytest

from rtcli.client.raw.frames import (
    MAX_FRAGMENTS,
    Assembler,
    Direction,
    Frame,
    InvalidMessageError,
    Kind,
    Message,
    read_close,
)

IN, OUT = Direction.IN, Direction.OUT


def test_fragments_become_one_message_and_control_frames_come_between() -> None:
    assembler = Assembler()
    euro = "€".encode()
    frames = [
        Frame(IN, Kind.TEXT, euro[:1], final=False),
        Frame(IN, Kind.PING, b"p"),
        Frame(OUT, Kind.PONG, b"p"),
        Frame(OUT, Kind.TEXT, b"ours"),
        Frame(IN, Kind.CONTINUATION, euro[1:], final=False),
        Frame(IN, Kind.CONTINUATION, b""),
        Frame(IN, Kind.BINARY, b"\xff"),
    ]
    assert [message for frame in frames if (message := assembler.feed(frame))] == [
        Message(IN, Kind.PING, b"p"),
        Message(OUT, Kind.PONG, b"p"),
        Message(OUT, Kind.TEXT, b"ours"),
        Message(IN, Kind.TEXT, euro, 3),
        Message(IN, Kind.BINARY, b"\xff"),
    ]


def test_what_is_no_message() -> None:
    with pytest.raises(InvalidMessageError, match="not UTF-8") as caught:
        Assembler().feed(Frame(IN, Kind.TEXT, b"\xff"))
    assert caught.value.code == 1007
    assembler = Assembler()
    assembler.feed(Frame(IN, Kind.BINARY, b"", final=False))
    for _ in range(MAX_FRAGMENTS - 1):
        assembler.feed(Frame(IN, Kind.CONTINUATION, b"", final=False))
    with pytest.raises(InvalidMessageError, match="more than 4096 fragments") as caught:
        assembler.feed(Frame(IN, Kind.CONTINUATION, b"", final=False))
    assert caught.value.code == 1009


@pytest.mark.parametrize(
    ("payload", "read"),
    [(b"", (1005, "")), (b"\x03\xe8", (1000, "")), (b"\x0f\xa1bye", (4001, "bye")), (b"\x03", (1005, ""))],
)
def test_a_close_frame(payload: bytes, read: tuple[int, str]) -> None:
    assert read_close(payload) == read
