"""Waiting for what happens elsewhere: poll until it has, and say what did not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from rtcli_server.timing.tasks import BackgroundTasks

TIMEOUT_S = 30.0
PAUSE_S = 0.01
T = TypeVar("T")


async def until(
    condition: Callable[[], bool], why: str = "it did not become true", *, timeout_s: float = TIMEOUT_S
) -> None:
    """Poll until `condition()`; fails with `why` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {why}"
        await asyncio.sleep(PAUSE_S)


def wait_until(
    condition: Callable[[], bool], why: str = "it did not become true", *, timeout_s: float = TIMEOUT_S
) -> None:
    """Poll as `until` does, for tests that have no loop."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {why}"
        time.sleep(PAUSE_S)


async def all_at_once(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Do all of them at once, each to its end, and return what they return.

    When some fail, one error has their number and the first. `gather` leaves the others to the loop.
    """
    results = await asyncio.gather(*works, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        raise AssertionError(
            f"{len(failures)} of {len(results)} failed; the first: {failures[0]!r}"
        ) from failures[0]
    return [result for result in results if not isinstance(result, BaseException)]


async def until_idle(tasks: BackgroundTasks) -> None:
    """Wait until all background tasks are done, those included that they start."""
    while tasks._tasks:
        await asyncio.gather(*tasks._tasks)
