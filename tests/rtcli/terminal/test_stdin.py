from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rtcli.terminal.stdin import read_lines


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
