"""Spreads the work for all HTTP connections of a server over turns of its event loop.

Between two turns the loop serves everyone else. Without this, a thousand connections that have a request
each, or bodies in chunks of one byte, would hold it for as long as all of them take together.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

MAX_STEPS = 16  # in one turn: requests that begin, or reads of a body
MAX_S = 0.01  # for the steps of one turn

_log = logging.getLogger(__name__)


class Stepper(Protocol):
    """A connection that has work to do."""

    def step(self) -> None:
        """Do a bounded piece of work. Called once for each call of `Turns.run`."""
        ...

    def cut_off(self) -> None:
        """Drop the client: `step` raised, so nothing more would come of it."""
        ...


class Turns:
    """Calls `step` at once while the turn has room, else in a later turn, first come, first served."""

    def __init__(
        self,
        *,
        max_steps: int = MAX_STEPS,
        max_s: float = MAX_S,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._max_steps = max_steps
        self._max_s = max_s
        self._now = now
        self._waiting: deque[Stepper] = deque()
        self._steps_left = 0
        self._s_left = 0.0
        self._in_turn = False  # `_end_turn` was asked for

    def run(self, stepper: Stepper) -> bool:
        """Let it step; return False when it has to wait for a later turn."""
        if not self._in_turn:
            self._begin_turn()
        if self._waiting or not self._has_room():
            self._waiting.append(stepper)
            return False
        self._step(stepper)
        return True

    def _begin_turn(self) -> None:
        self._in_turn = True
        self._steps_left, self._s_left = self._max_steps, self._max_s
        asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._in_turn = False
        if not self._waiting:
            return
        self._begin_turn()
        while self._waiting and self._has_room():
            self._step(self._waiting.popleft())

    def _has_room(self) -> bool:
        return self._steps_left > 0 and self._s_left > 0.0

    def _step(self, stepper: Stepper) -> None:
        self._steps_left -= 1
        began = self._now()
        try:
            stepper.step()
        except Exception:  # noqa: BLE001 - one of thousands must not stop the others' turn
            _log.exception("reading from an HTTP connection failed; it is cut")
            stepper.cut_off()
        self._s_left -= self._now() - began
