"""The echo server that conformance suites are run against, and the page that is made of their verdicts."""

import asyncio
import os
import sys

import pytest
import websockets

from benchmarks.autobahn import Outcome, outcomes_of, page

INDEX = {
    "10.1.1": {"behavior": "OK", "behaviorClose": "OK"},
    "2.1": {"behavior": "NON-STRICT", "behaviorClose": "OK"},
    "7.1.2": {"behavior": "OK", "behaviorClose": "WRONG CODE"},
}


def test_outcomes_are_in_the_order_of_the_cases_and_a_wrong_closing_is_a_failure() -> None:
    outcomes = outcomes_of("picows", INDEX)
    assert [outcome.case for outcome in outcomes] == ["2.1", "7.1.2", "10.1.1"]
    assert [outcome.passed for outcome in outcomes] == [True, False, True]


def test_the_page_counts_and_names_what_is_not_plainly_ok() -> None:
    known = Outcome("portable", "7.1.5", "FAILED", "WRONG CODE")
    text = page([*outcomes_of("picows", INDEX), known], "_about_")
    assert "| picows | 3 | 1 | 1 | 0 | 1 |" in text
    assert "- picows 2.1: NON-STRICT\n" in text
    assert "- picows 7.1.2: OK, closing WRONG CODE\n" in text
    assert "- portable 7.1.5: FAILED, closing WRONG CODE – the websockets library" in text
    assert "10.1.1" not in text
    assert text.endswith("_about_\n")


@pytest.mark.parametrize("transport", ["picows", "portable"])
async def test_the_echo_server_sends_back_text_and_binary_whole_and_in_fragments(transport: str) -> None:
    argv = [sys.executable, "-m", "benchmarks.echo", transport]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    server = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, env=env)
    try:
        assert server.stdout is not None
        url = (await server.stdout.readline()).decode().strip()
        async with websockets.connect(url, compression=None, max_size=None) as socket:
            for message in ("grün", b"\x00\xff", "x" * 100_000, b"y" * 100_000):
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send(iter(["ha", "lf"]))
            await socket.send(iter([b"ha", b"lf"]))
            assert [await socket.recv(), await socket.recv()] == ["half", b"half"]
    finally:
        server.terminate()
        assert await server.wait() == 0
