"""docs/library.md: every example runs as it stands, but for the address, and the first has five lines."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import rtcli
from tests.support.fakes.scripted_stream import HEAD, FakeStream, fake_stream, hold
from tests.support.paths import ROOT
from tests.support.servers.live_server import LiveServer, live_server, token

TEXT = (ROOT / "docs" / "library.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
FIRST, ASYNC, ANY_STREAM, GAPS, UPDATES, PUBLISH, ANSWER, WITHOUT_ASYNC = EXAMPLES
OURS, OTHERS = "http://127.0.0.1:8000", "http://127.0.0.1:8080"


@asynccontextmanager
async def running(example: str, server: LiveServer, other: FakeStream) -> AsyncIterator[asyncio.StreamReader]:
    """Run an example in a process of its own; gives what it prints."""
    program = example.replace(OURS, server.url).replace(OTHERS, other.base)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-W", "error", "-c", program,
        stdout=asyncio.subprocess.PIPE, env={"RTCLI_TOKEN": token("7", name="Ann")},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answer(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"event: tick\ndata: one\n\n")
    await hold(writer)


async def reply(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b'data: {"word": "hi"}\n\ndata: [DONE]\n\n')
    await hold(writer)


def test_the_first_program_has_five_lines() -> None:
    assert len([line for line in FIRST.splitlines() if line.strip()]) == 5


def test_no_example_uses_what_is_not_public() -> None:
    used = {name for example in EXAMPLES for name in re.findall(r"\brtcli\.(\w+)", example)}
    assert used <= set(rtcli.__all__)
    assert [
        example for example in EXAMPLES if re.search(r"\._|import _|rtcli\.(client|library)", example)
    ] == []


def test_every_name_on_the_page_is_there() -> None:
    values = re.findall(r"`([A-Z][A-Za-z]+)`", TEXT)
    assert {name for name in values if hasattr(rtcli, name)} >= {
        name for name in values if name not in {"None", "True", "ValueError", "TimeoutError"}
    }


@pytest.mark.parametrize(
    ("example", "prints"),
    [
        (FIRST, ["Ann: hello", "Bob: from another"]),
        (ASYNC, [r"in the log at \w+-\d+", "Ann: hello", "Bob: from another"]),
        (ANY_STREAM, ["tick one"]),
        (GAPS, [r"\w+-\d+ from another"]),
        (UPDATES, ["from another"]),
        (PUBLISH, [r"\w+-\d+ False"]),
        (ANSWER, [r"\{'word': 'hi'\}"]),
        (WITHOUT_ASYNC, ["ping"]),
    ],
    ids=["first", "async", "any_stream", "gaps", "updates", "publish", "answer", "without_async"],
)
async def test_each_example_does_what_the_page_says(example: str, prints: list[str]) -> None:
    with live_server() as server:
        async with (
            fake_stream(answer) as other,
            rtcli.connect(server.url, token=token("8", name="Bob")) as bob,
            running(example, server, other) as out,
            asyncio.timeout(50),
        ):
            other.by_target["/answers"] = reply
            for wanted in prints:
                line = ""
                while not re.fullmatch(wanted, line):
                    if "another" in wanted:
                        await bob.publish("general", "from another")
                    try:
                        async with asyncio.timeout(0.5 if "another" in wanted else 40):
                            line = (await out.readline()).decode().rstrip("\n")
                    except TimeoutError:
                        continue
                    assert line, f"it ended before it printed {wanted!r}"
