"""Asking a server over HTTP for something that may be repeated, until it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from rtcli.client.backoff import Reconnect
from rtcli.client.failures import Failure
from rtcli.client.net.answers import Answer
from rtcli.client.publishing import Server

ANSWER_TIMEOUT_S = 30.0
_DONE = frozenset({200, 201})

T = TypeVar("T")


@dataclass(frozen=True)
class Asker:
    """Asks one server. `on_retry(failure, delay_s)` is called before each repetition."""

    server: Server
    reconnect: Reconnect
    on_retry: Callable[[Failure, float], None]
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic

    async def ask(
        self,
        method: str,
        path: str,
        type_: type[T],
        *,
        body: bytes | None = None,
        max_bytes: int,
        explain: Callable[[Answer], Failure],
    ) -> T:
        """Ask until there is an answer, as long as `--wait` says. Raises CliError.

        `explain` gives the failure behind an answer that is none; `max_bytes` bounds the answer.
        """
        while True:
            outcome = await self.server.ask(
                method, path, body, max_bytes=max_bytes, timeout_s=ANSWER_TIMEOUT_S
            )
            if isinstance(outcome, Answer) and outcome.status in _DONE:
                return self.server.read(outcome, type_)
            failure = explain(outcome) if isinstance(outcome, Answer) else outcome
            delay_s = self.reconnect.delay(failure, now=self.clock())
            self.on_retry(failure, delay_s)
            await self.sleep(delay_s)
