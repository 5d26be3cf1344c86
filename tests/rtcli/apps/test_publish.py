from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest

from rtcli.apps.publish import PublishRun, Target, Texts, batches, line_texts, make_target, whole_text
from rtcli.client.publishing import MAX_BODY_BYTES, MAX_PARTS, Part, Published, Result
from rtcli.errors import CliError, Exit
from tests.support.processes.stdin import piped_stdin

ROOMS = Target(("a", "b"), None, None)


def test_messages_go_to_each_room_once() -> None:
    assert make_target(None, None, None).rooms == ("general",)
    target = make_target(["a", "b", "a"], None, None)
    assert target.bodies("x") == [{"room": "a", "content": "x"}, {"room": "b", "content": "x"}]


def test_events_go_to_a_user_or_to_everyone() -> None:
    body = make_target(None, "order.paid", "7").bodies('{"a": [1, 2.50]}')[0]
    assert msgspec.json.encode(body) == b'{"event":"order.paid","data":{"a": [1, 2.50]},"user":"7"}'
    assert make_target(None, "x", None).bodies("{}")[0].keys() == {"event", "data"}


@pytest.mark.parametrize(
    ("rooms", "event", "user"),
    [
        (["a  b"], None, None),
        (None, None, "7"),
        (["a"], "x", None),
        (None, "a b", None),
        (None, "ready", None),
        (None, "", None),
        (None, "x", ""),
        (None, "x", "a\nb"),
    ],
)
def test_targets_that_are_refused(rooms: list[str] | None, event: str | None, user: str | None) -> None:
    with pytest.raises(CliError) as caught:
        make_target(rooms, event, user)
    assert caught.value.exit_code is Exit.USAGE
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "x" * 16_385, "\0", "\ud800", "\U0001f600" * 16_384])
def test_messages_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ROOMS.bodies(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "5",
        "null",
        "{",
        "{}}",
        '{"a":NaN}',
        '{"a":1,"a":2}',
        '{"a":"\\ud800"}',
        "1],[{}",
        '{"a":' + "[" * 13 + "]" * 13 + "}",
        '{"a":1e999}',
    ],
)
def test_data_that_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the data of an event must be"):
        make_target(None, "x", None).bodies(text)


def make_run(id_prefix: str = "aaaa", *, show_acks: bool = False) -> PublishRun:
    return PublishRun(ROOMS, show_acks, id_prefix, now=lambda: 0.0)


def test_ids_are_unique_and_short() -> None:
    run, other = make_run("aaaa"), make_run("bbbb")
    parts = run.parts(1, "x") + run.parts(2, "y") + other.parts(1, "x")
    ids = [part.body["id"] for part in parts]
    assert len(set(ids)) == 6
    assert all(len(identifier) <= 64 for identifier in ids)
    assert [part.number for part in parts] == [1, 1, 2, 2, 1, 1]


PUBLISHED = Published("room:a", "k3f9", 1, "k3f9-1", duplicate=False)


def test_the_last_failure_is_the_error_and_the_others_are_said(capfd: pytest.CaptureFixture[str]) -> None:
    run = make_run(show_acks=True)
    assert run.end() == Exit.OK
    parts = run.parts(1, "x")
    run.on_result(parts[0], Result(201, PUBLISHED))
    run.on_result(parts[1], Result(403, code="forbidden", detail="Not allowed"))
    assert run.parts(2, None) == []
    with pytest.raises(CliError, match="line 2 was not published: it is longer than") as caught:
        run.end()
    assert caught.value.hint == "1 publications are in the log"
    out, err = capfd.readouterr()
    assert out == "room:a k3f9-1\n"
    assert err == "warning: line 1 was not published: Not allowed (forbidden)\n"


@pytest.mark.parametrize(("status", "exit_code"), [(403, Exit.AUTH), (400, Exit.SERVER), (409, Exit.SERVER)])
def test_the_exit_code_says_what_it_was(status: int, exit_code: Exit) -> None:
    run = make_run()
    run.on_result(run.parts(1, "x")[0], Result(status, code="c", detail="d"))
    with pytest.raises(CliError) as caught:
        run.end()
    assert caught.value.exit_code is exit_code


# -- stdin -------------------------------------------------------------------------------------------------


@pytest.fixture
def stdin() -> Iterator[int]:
    """The writing end of a pipe that is this process's stdin."""
    with piped_stdin() as writing:
        yield writing


async def all_of(texts: Texts) -> list[tuple[int, str | None]]:
    return [text async for text in texts]


async def test_lines(stdin: int) -> None:
    os.write(stdin, b"one\r\n\n two \nthree")
    os.close(stdin)
    assert await all_of(line_texts()) == [(1, "one"), (3, " two "), (4, "three")]


async def test_the_whole(stdin: int) -> None:
    os.write(stdin, b"\none\n\ntwo\n\n")
    os.close(stdin)
    assert await all_of(whole_text()) == [(1, "\none\n\ntwo")]


async def test_a_whole_without_end_is_given_up(stdin: int) -> None:
    os.set_blocking(stdin, False)

    async def write() -> None:
        while True:
            try:
                os.write(stdin, b"line\n" * 1_000)
            except BlockingIOError:
                await asyncio.sleep(0)

    writing = asyncio.ensure_future(write())
    try:
        assert await all_of(whole_text()) == [(1, None)]
    finally:
        writing.cancel()
        os.close(stdin)


# -- batches -----------------------------------------------------------------------------------------------


def part(number: int, size: int = 1) -> Part:
    return Part(number, {"room": "a", "content": "x" * size})


async def numbers(count: int) -> Texts:
    for number in range(count):
        yield number, "x"


async def test_a_file_goes_in_bulk_and_in_order() -> None:
    joined = [batch async for batch in batches(numbers(1_000), lambda number, _text: [part(number)])]
    assert [item.number for batch in joined for item in batch] == list(range(1_000))
    assert max(map(len, joined)) == MAX_PARTS
    assert len(joined) < 20


async def test_a_slow_line_is_sent_at_once() -> None:
    gate = asyncio.Event()

    async def slow() -> AsyncIterator[tuple[int, str | None]]:
        yield 1, "x"
        await gate.wait()
        yield 2, "x"

    joined = batches(slow(), lambda number, _text: [part(number)])
    assert [item.number for item in await anext(joined)] == [1]
    gate.set()
    assert [item.number for item in await anext(joined)] == [2]
    assert [batch async for batch in joined] == []


async def test_a_batch_is_no_larger_than_a_body() -> None:
    joined = [batch async for batch in batches(numbers(30), lambda number, _text: [part(number, 100_000)])]
    assert all(sum(item.size for item in batch) <= MAX_BODY_BYTES for batch in joined)
    assert sum(map(len, joined)) == 30


async def test_what_goes_wrong_with_the_input_is_told() -> None:
    async def broken() -> AsyncIterator[tuple[int, str | None]]:
        yield 1, "x"
        raise CliError("no more")

    joined = batches(broken(), lambda number, _text: [part(number)])
    assert len(await anext(joined)) == 1
    with pytest.raises(CliError, match="no more"):
        await anext(joined)


async def test_lines_without_parts_make_no_batch() -> None:
    assert [batch async for batch in batches(numbers(500), lambda _number, _text: [])] == []
