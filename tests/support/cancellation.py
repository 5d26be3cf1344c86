"""Cancels a coroutine at one of its awaits, and says what is left behind."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

import psutil


class CancelledAt:
    """Runs a coroutine and cancels its task at the await number `turn`, counted from 0.

    `reached` tells whether there was one. Every await counts at which the coroutine really waits.
    """

    def __init__(self, work: Coroutine[Any, Any, None], turn: int) -> None:
        self._work = work
        self._turn = turn
        self.reached = False

    def __await__(self) -> Generator[Any, Any, None]:
        task = asyncio.current_task()
        assert task is not None
        steps = self._work.__await__()
        go_on: Callable[[], Any] = partial(steps.send, None)
        for turn in itertools.count():
            try:
                waited_for = go_on()
            except StopIteration:
                return
            if turn == self._turn:
                self.reached = True
                task.cancel()
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is for the coroutine
                go_on = partial(steps.throw, error)
            else:
                go_on = partial(steps.send, None)


def connections_to(port: int) -> int:
    """How many connections to this port this process has open at its own end."""
    own = psutil.Process().net_connections(kind="tcp")
    return len([one for one in own if tuple(one.raddr)[1:] == (port,)])


def other_tasks() -> list[str]:
    """The tasks of this loop, but for the one that asks."""
    current = asyncio.current_task()
    return [repr(task) for task in asyncio.all_tasks() if task is not current]
