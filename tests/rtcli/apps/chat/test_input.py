from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.apps.chat.input import COMMANDS, Command, Mistake, Say, parse_line
from rtcli.apps.chat.typing_throttle import TypingThrottle
from rtcli.client.validation import problem_with
from rtcli.protocol.messages import decode_client, encode
from rtcli.protocol.messages.client import ChatData, ChatMessage
from rtcli.terminal.stdin import read_lines

# -- commands ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("", None),
        ("   ", None),
        ("hello", Say("hello")),
        ("  indented", Say("  indented")),
        ("//slash", Say("/slash")),
        ("/who", Command("who", "")),
        ("/WHO", Command("who", "")),
        ("/names", Command("who", "")),
        ("/join  ops ", Command("join", "ops")),
        ("/me waves /wildly", Command("me", "waves /wildly")),
        ("/q", Command("quit", "")),
        ("/jion x", Mistake("unknown command /jion, did you mean /join?")),
        ("/zzz", Mistake("unknown command /zzz; /help lists them, and //text says /text")),
        ("/", Mistake("unknown command /; /help lists them, and //text says /text")),
        ("/join", Mistake("it goes: /join ROOM")),
    ],
)
def test_what_is_typed(line: str, meaning: object) -> None:
    assert parse_line(line) == meaning


@given(st.text())
def test_every_line_means_something_or_nothing(line: str) -> None:
    meaning = parse_line(line)
    assert isinstance(meaning, Say | Command | Mistake) or not line.strip()
    if line.startswith("/") and not line.startswith("//"):
        assert not isinstance(meaning, Say), "a command is never sent by accident"


def test_every_command_says_how_it_goes() -> None:
    assert all(text.startswith(f"/{name}") for name, text in COMMANDS.items())


# -- typing ------------------------------------------------------------------------------------------------


def test_typing_is_told_at_most_every_three_seconds() -> None:
    throttle = TypingThrottle(enabled=True)
    told = [(now, throttle.changed(f"text {now}", now)) for now in (0.0, 1.0, 2.9, 3.0, 5.9, 6.0)]
    assert [now for now, active in told if active] == [0.0, 3.0, 6.0]


def test_an_end_is_told_once_and_only_to_those_who_believe_it() -> None:
    throttle = TypingThrottle(enabled=True)
    assert throttle.changed("", 0.0) is None
    assert throttle.changed("a", 1.0) is True
    assert throttle.changed("", 2.0) is False
    assert throttle.changed("", 3.0) is None
    assert throttle.changed("a", 4.0) is True
    assert throttle.changed("", 20.0) is None, "the server ended it by itself"
    assert throttle.changed("b", 21.0) is True
    throttle.sent()
    assert throttle.changed("", 21.1) is None, "the message itself ended it"


@pytest.mark.parametrize("text", ["/who", "/", "  ", "\n"])
def test_commands_and_blanks_are_nobodys_business(text: str) -> None:
    assert TypingThrottle(enabled=True).changed(text, 0.0) is None


def test_whoever_does_not_want_it_tells_nothing() -> None:
    throttle = TypingThrottle(enabled=False)
    assert throttle.changed("a", 0.0) is None
    throttle.enabled = True
    assert throttle.changed("ab", 1.0) is True
    throttle.enabled = False
    assert throttle.changed("abc", 2.0) is False


# -- stdin -------------------------------------------------------------------------------------------------


async def collect(lines: AsyncIterator[str | None]) -> list[str | None]:
    async with asyncio.timeout(15):
        return [line async for line in lines]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\r\ntwo", ["one", "two"]),
        (b"\xff\xc3\xa4\n", ["\ufffdä"]),
        (b"12345678\n123456789\n1\n", ["12345678", None, "1"]),
        (b"12345678\r\n", ["12345678"]),
        (b"x" * 300_000 + b"\nend", [None, "end"]),
        (b"x" * 300_000, [None]),
        (b"a\0b\n", ["a\0b"]),
    ],
)
@pytest.mark.parametrize("kind", ["file", "pipe", "byte by byte"])
async def test_lines_come_from_anywhere(
    tmp_path: Path, data: bytes, lines: list[str | None], kind: str
) -> None:
    if kind == "file":
        path = tmp_path / "in"
        path.write_bytes(data)
        descriptor = os.open(path, os.O_RDONLY)
        assert await collect(read_lines(descriptor, max_bytes=9 if b"\r" in data[:10] else 8)) == lines
        os.close(descriptor)
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    reading = asyncio.ensure_future(collect(read_lines(reader, max_bytes=9 if b"\r" in data[:10] else 8)))
    step = 1 if kind == "byte by byte" and len(data) < 1000 else 4096
    for start in range(0, len(data), step):
        while True:
            try:
                os.write(writer, data[start : start + step])
                break
            except BlockingIOError:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
    os.close(writer)
    assert await reading == lines
    os.close(reader)


async def test_what_is_closed_or_empty_has_no_lines() -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    assert await collect(read_lines(null, max_bytes=10)) == []
    os.close(null)
    assert await collect(read_lines(null, max_bytes=10)) == []


async def test_nothing_is_read_before_it_is_asked_for() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"one\n")
    lines = read_lines(reader, max_bytes=10)
    assert await anext(lines) == "one"
    os.write(writer, b"two\n")
    await asyncio.sleep(0)
    assert os.read(reader, 10) == b"two\n"
    await lines.aclose()
    os.close(reader)
    os.close(writer)


# -- texts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "x" * 16_385, "a\0", "\ud800", "\x01" * 16_000, "\U0001f389" * 16_384])
def test_texts_that_no_server_takes(text: str) -> None:
    assert problem_with("general", text) is not None


@given(st.text(min_size=1, max_size=50))
def test_all_others_are_taken(text: str) -> None:
    if problem_with("general", text) is None:
        message = ChatMessage(ChatData("general", text), id="c-1")
        assert decode_client(encode(message)) == message
