"""What a user waits for over WebSocket."""

from __future__ import annotations

import asyncio

import pytest

from rtcli.load.errors import LostError, StepError
from rtcli.load.users.pending import PendingMessage, PendingReplies


def waiting() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def test_an_acknowledgement_answers_its_message_once() -> None:
    pending, done = PendingReplies(), waiting()
    message = PendingMessage(None, 3, 1_000, "send", done)
    pending.add("m1", message)
    assert pending.acknowledge("m2") is None
    assert pending.acknowledge("m1") is message
    assert done.done()
    assert pending.acknowledge("m1") is None


async def test_a_request_is_confirmed_by_its_room() -> None:
    pending = PendingReplies()
    first = asyncio.create_task(pending.confirmation("lobby", "q1", 5))
    second = asyncio.create_task(pending.confirmation("hall", "q2", 5))
    await asyncio.sleep(0)
    pending.confirm("nowhere")
    pending.confirm("hall")
    await second
    assert not first.done()
    pending.confirm("lobby")
    await first


async def test_a_refusal_is_told_to_who_waits_for_the_message_or_the_request() -> None:
    pending, done = PendingReplies(), waiting()
    message = PendingMessage(None, 0, 0, "send", done)
    pending.add("m1", message)
    request = asyncio.create_task(pending.confirmation("lobby", "q1", 5))
    await asyncio.sleep(0)
    assert pending.refuse("m1", "rate_limited") is message
    assert pending.refuse("q1", "forbidden") is None
    with pytest.raises(StepError, match="refused: forbidden"):
        await request
    with pytest.raises(StepError, match="refused: rate_limited"):
        await done
    assert pending.refuse("", "bad_request") is None


async def test_a_request_that_is_not_confirmed_in_time_is_given_up() -> None:
    pending = PendingReplies()
    with pytest.raises(TimeoutError):
        await pending.confirmation("lobby", "q1", 0.01)
    pending.confirm("lobby")  # too late, and nobody is harmed


async def test_a_lost_connection_answers_nothing_and_leaves_nobody_waiting() -> None:
    pending, done = PendingReplies(), waiting()
    message = PendingMessage(None, 0, 0, "send", done)
    pending.add("m1", message)
    request = asyncio.create_task(pending.confirmation("lobby", "q1", 5))
    await asyncio.sleep(0)
    pending.fail_requests()
    assert [(taken, code) for taken, code in pending.take_messages()] == [(message, "")]
    with pytest.raises(LostError):
        await request
    with pytest.raises(LostError):
        await done
    assert pending.acknowledge("m1") is None


async def test_errors_that_tell_no_id_may_be_the_answers_to_the_oldest_messages() -> None:
    pending = PendingReplies()
    pending.note_error("too_early")  # nothing waits for an answer
    messages = [PendingMessage(None, number, 0, "send", None) for number in range(3)]
    for number, message in enumerate(messages):
        pending.add(f"m{number}", message)
    assert pending.is_waiting
    pending.note_error("rate_limited")
    pending.acknowledge("m0")
    assert pending.take_messages() == [(messages[1], "rate_limited"), (messages[2], "")]
    assert pending.take_messages() == []
