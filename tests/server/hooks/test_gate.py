"""Asking hooks: whatever a hook does, there is an answer in time, and in doubt it is no."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rtcli.protocol.codes import ErrorCode
from rtcli_server.hooks import (
    ConnectRequest,
    Denial,
    HookGate,
    Hooks,
    JoinRequest,
    PublishRequest,
    Refuse,
    Rename,
    Rewrite,
    max_calls,
)
from rtcli_server.metrics.registry import Metrics
from tests.support.waiting import until

ASK = PublishRequest(user_id="7", name="Ann", room="a", content="text", id=None, connection_id="c-1")
JOIN = JoinRequest(user_id="7", name="Ann", room="a", connection_id="c-1")
CONNECT = ConnectRequest(user_id="7", name="Ann", address="::1", transport="sse")
Answering = Callable[[Any], Awaitable[Any]]


class Answers(Hooks):
    """Three hooks that do the same."""

    def __init__(self, answer: Answering) -> None:
        self.answer = answer

    async def connect(self, request: ConnectRequest) -> Any:  # noqa: ANN401 - rubbish, too
        return await self.answer(request)

    async def join(self, request: JoinRequest) -> Any:  # noqa: ANN401 - rubbish, too
        return await self.answer(request)

    async def publish(self, request: PublishRequest) -> Any:  # noqa: ANN401 - rubbish, too
        return await self.answer(request)


def returning(value: object) -> Answering:
    async def answer(_request: object) -> object:
        return value

    return answer


def gate_of(hooks: Hooks, *, deadline_s: float = 5.0, calls: int = 16) -> HookGate:
    metrics = Metrics(lambda: 0.0, tick_s=0.1)
    return HookGate(hooks, deadline_s=deadline_s, calls=calls, metrics=metrics, now=lambda: 0.0)


def unavailable(verdict: object) -> bool:
    return (
        isinstance(verdict, Denial)
        and verdict.code is ErrorCode.UNAVAILABLE
        and verdict.retry_after_ms == 1_000
    )


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (None, "text"),
        (Rewrite("other"), "other"),
        (Rewrite("x" * 16_384), "x" * 16_384),
        (Refuse(), Denial(ErrorCode.FORBIDDEN, "Not allowed")),
        (Refuse("Not before noon"), Denial(ErrorCode.FORBIDDEN, "Not before noon")),
        (Refuse("\x1b\u202e\n"), Denial(ErrorCode.FORBIDDEN, "Not allowed")),
        (Refuse("é" * 80), Denial(ErrorCode.FORBIDDEN, "é" * 50)),
    ],
)
async def test_answers(answer: object, verdict: object) -> None:
    assert await gate_of(Answers(returning(answer))).publish(ASK) == verdict


@pytest.mark.parametrize(
    "rubbish",
    [
        True,
        "other",
        0,
        {},
        Rename("x"),
        Rewrite(""),
        Rewrite("x" * 16_385),
        Rewrite("\ud800"),
        Rewrite("\0"),
        Refuse,
    ],
)
async def test_rubbish_is_no_answer(rubbish: object, caplog: pytest.LogCaptureFixture) -> None:
    assert unavailable(await gate_of(Answers(returning(rubbish))).publish(ASK))
    (line,) = caplog.records
    assert (line.name, line.levelno) == ("rtcli_server.hooks.gate", logging.ERROR)
    assert line.getMessage().startswith("the hook publish failed: it returned what is no answer")


async def test_each_hook_takes_its_own_answers() -> None:
    renamed, rewritten = (
        gate_of(Answers(returning(Rename(" Bob\n")))),
        gate_of(Answers(returning(Rewrite("x")))),
    )
    assert await renamed.connect(CONNECT) == "Bob"
    assert unavailable(await renamed.join(JOIN))
    assert unavailable(await rewritten.connect(CONNECT))
    assert await gate_of(Answers(returning(None))).join(JOIN) is None


@pytest.mark.logs_traceback
async def test_a_hook_that_raises_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_request: object) -> None:
        raise RuntimeError("no database")

    gate = gate_of(Answers(broken))
    for _ in range(50):
        assert unavailable(await gate.publish(ASK))
    assert len(caplog.records) == 10  # of fifty in no time: each further one is counted
    assert "RuntimeError('no database')" in caplog.records[0].getMessage()
    assert caplog.records[0].exc_info


async def test_what_is_no_coroutine_fails_too() -> None:
    def plain(_request: object) -> Any:  # noqa: ANN401 - not what the type says
        return None

    assert unavailable(await gate_of(Answers(plain)).publish(ASK))


async def test_a_hook_that_hangs_is_given_up() -> None:
    over = asyncio.Event()

    async def hang(_request: object) -> None:
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    gate = gate_of(Answers(hang), deadline_s=0.01, calls=2)
    first = await asyncio.gather(gate.publish(ASK), gate.publish(ASK))
    assert all(map(unavailable, first))
    # Both still run, and keep their places: a third is not even begun.
    assert gate._metrics.hooks_waiting == 2
    assert unavailable(await gate.publish(ASK))
    assert gate._metrics.hook_calls["failed"] == 3
    over.set()
    await until(lambda: not gate._metrics.hooks_waiting)
    assert await gate_of(Answers(returning(None))).publish(ASK) == "text"


async def test_who_asks_may_be_cancelled() -> None:
    begun = asyncio.Event()

    async def hang(_request: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    gate = gate_of(Answers(hang))
    asking = asyncio.ensure_future(gate.publish(ASK))
    await begun.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: not gate._metrics.hooks_waiting)


async def test_all_rooms_of_a_stream_have_one_deadline() -> None:
    asked: list[str] = []

    async def slow(request: JoinRequest) -> Refuse | None:
        asked.append(request.room)
        if request.room == "slow":
            await asyncio.Event().wait()
        return Refuse("no") if request.room == "c" else None

    def rooms(*names: str) -> list[JoinRequest]:
        return [JoinRequest(user_id="7", name="Ann", room=name, connection_id=None) for name in names]

    gate = gate_of(Answers(slow), deadline_s=0.05)
    assert await gate.join_all(rooms("a", "b")) is None
    assert await gate.join_all(rooms("a", "c", "d")) == Denial(ErrorCode.FORBIDDEN, "no")
    assert "d" not in asked
    assert unavailable(await gate.join_all(rooms("a", "slow")))


def test_only_what_is_overridden_is_asked() -> None:
    class One(Hooks):
        async def join(self, request: JoinRequest) -> None:
            del request

    assert One().implemented() == {"join"}
    assert Hooks().implemented() == frozenset()
    assert Answers(returning(None)).implemented() == {"connect", "join", "publish"}


def test_what_waits_is_a_quarter_of_the_budget() -> None:
    assert max_calls(256 * 1024 * 1024) == 512
    assert max_calls(1 << 40) == 1_024
    assert max_calls(1) == 16


async def test_a_hook_may_leave_the_decision_to_its_base() -> None:
    class Watches(Hooks):
        async def join(self, request: JoinRequest) -> Refuse | None:
            return await super().join(request)

        async def publish(self, request: PublishRequest) -> Refuse | Rewrite | None:
            return await super().publish(request)

    gate = gate_of(Watches())
    assert await gate.join(JOIN) is None
    assert await gate.publish(ASK) == "text"
