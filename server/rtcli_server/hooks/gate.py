"""Asks the hooks: each within a deadline, not too many at once, and in doubt the answer is no.

A hook that raises, hangs, or returns what is no answer denies what was asked, with `unavailable`: the client
may try again. It is one line in the log, and the loop goes on. A call that does not end when it is cancelled
keeps its place until it does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from rtcli.protocol.codes import UNAVAILABLE_RETRY_MS, ErrorCode
from rtcli.protocol.messages import MAX_CONTENT
from rtcli_server.auth.claims import showable
from rtcli_server.hooks.interface import (
    ConnectRequest,
    Disconnected,
    Hooks,
    JoinRequest,
    Name,
    NoAnswerError,
    PublishRequest,
    Refuse,
    Rename,
    Rewrite,
)
from rtcli_server.limits.token_bucket import TokenBucket
from rtcli_server.metrics.registry import Metrics

CALL_BYTES = 131_072  # a message that waits for a hook, and what its connection sends meanwhile
MAX_TEXT_BYTES = 100  # of a refusal: with its code, it is also a close reason (RFC 6455, section 5.5)
LINES_PER_S, BURST = 1.0, 10  # of the log
UNANSWERED = "The application did not answer: nothing was done, try again"

_log = logging.getLogger(__name__)


class Denial(NamedTuple):
    """No, and why. With `retry_after_ms`, the client may try again."""

    code: ErrorCode
    text: str
    retry_after_ms: int | None = None


class _FailedError(Exception):
    """A hook gave no answer; the text says why, for the log."""


def max_calls(memory_budget_bytes: int) -> int:
    """Number of calls at once: what waits behind them is within a quarter of the memory for clients."""
    return max(16, min(1_024, memory_budget_bytes // 4 // CALL_BYTES))


class HookGate:
    """The hooks of one server. `now` gives monotonic seconds; what is not in `implemented` is not asked."""

    def __init__(
        self, hooks: Hooks, *, deadline_s: float, calls: int, metrics: Metrics, now: Callable[[], float]
    ) -> None:
        self._hooks = hooks
        self._deadline_s = deadline_s
        self._calls = calls
        self._metrics = metrics
        self._now = now
        self._lines = TokenBucket(LINES_PER_S, BURST, now())
        self._not_logged = 0
        self.implemented: frozenset[Name] = hooks.implemented()

    # -- questions -----------------------------------------------------------------------------------------

    async def connect(self, request: ConnectRequest) -> str | Denial:
        """Return the display name under which a client may connect."""
        return await self._ask("connect", self._hooks.connect, request, request.name, name_in)

    async def join(self, request: JoinRequest) -> Denial | None:
        """Return why a user may not be in a room."""
        answer = await self._ask("join", self._hooks.join, request, "", nothing_in)
        return answer if isinstance(answer, Denial) else None

    async def join_all(self, requests: Sequence[JoinRequest]) -> Denial | None:
        """Return why a user may not be in one of these rooms; all answers have to come in one deadline."""
        try:
            async with asyncio.timeout(self._deadline_s):
                for request in requests:
                    denial = await self.join(request)
                    if denial is not None:
                        return denial
        except TimeoutError:
            return self._failed("join", _FailedError(f"no answers within {self._deadline_s:g} s"))
        return None

    async def publish(self, request: PublishRequest) -> str | Denial:
        """Return the content with which a message may be published."""
        return await self._ask("publish", self._hooks.publish, request, request.content, content_in)

    async def disconnect(self, event: Disconnected) -> None:
        """Tell that a client has gone."""
        try:
            await self._call(self._hooks.disconnect, event)
        except _FailedError as error:
            self._failed("disconnect", error)
        else:
            self._metrics.hook_calls["allowed"] += 1

    async def close(self) -> None:
        """End with the server."""
        await self._hooks.close()

    # -- asking --------------------------------------------------------------------------------------------

    async def _ask(
        self,
        name: Name,
        hook: Callable[[Any], Awaitable[object]],
        request: object,
        unchanged: str,
        changed: Callable[[object], str | None],
    ) -> str | Denial:
        """Ask one hook; return what it changed, or `unchanged`."""
        try:
            answer = await self._call(hook, request)
            if isinstance(answer, Refuse):
                self._metrics.hook_calls["refused"] += 1
                return Denial(ErrorCode.FORBIDDEN, _text_of(answer))
            value = unchanged if answer is None else _changed(answer, changed)
        except _FailedError as error:
            return self._failed(name, error)
        self._metrics.hook_calls["allowed"] += 1
        return value

    async def _call(self, hook: Callable[[Any], Awaitable[object]], argument: object) -> object:
        """Call a hook, in a task of its own: it may swallow its cancellation. Raises _FailedError."""
        if self._metrics.hooks_waiting >= self._calls:
            raise _FailedError(f"{self._calls} calls wait already")
        self._metrics.hooks_waiting += 1
        task = asyncio.ensure_future(_run(hook, argument))
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait([task], timeout=self._deadline_s)
        finally:
            task.cancel()
        if not task.done():
            raise _FailedError(f"no answer within {self._deadline_s:g} s")
        if task.cancelled():
            raise _FailedError("it was cancelled")
        error = task.exception()
        if isinstance(error, NoAnswerError):
            raise _FailedError(str(error))
        if error is not None:
            raise _FailedError(f"{error!r}") from error
        return task.result()

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._metrics.hooks_waiting -= 1
        if not task.cancelled():
            task.exception()  # of one that was given up: nobody else looks at it

    def _failed(self, name: Name, error: _FailedError) -> Denial:
        self._metrics.hook_calls["failed"] += 1
        if self._lines.take(self._now()):
            self._not_logged += 1
        else:
            more = {"not_logged": self._not_logged} if self._not_logged else None
            self._not_logged = 0
            _log.error("the hook %s failed: %s", name, error, exc_info=error.__cause__, extra=more)
        return Denial(ErrorCode.UNAVAILABLE, UNANSWERED, UNAVAILABLE_RETRY_MS)


async def _run(hook: Callable[[Any], Awaitable[object]], argument: object) -> object:
    return await hook(argument)


# -- answers, judged ---------------------------------------------------------------------------------------


def _changed(answer: object, changed: Callable[[object], str | None]) -> str:
    value = changed(answer)
    if value is None:
        raise _FailedError(f"it returned what is no answer, of type {type(answer).__name__}")
    return value


def nothing_in(_answer: object) -> None:
    """A join cannot be changed: there is only yes and no."""


def name_in(answer: object) -> str | None:
    """Return the display name in an answer, None when there is none that may be shown."""
    name: object = answer.name if isinstance(answer, Rename) else None
    return showable(name) if isinstance(name, str) else None


def content_in(answer: object) -> str | None:
    """Return the content in an answer, None when it could not have been published over WebSocket."""
    content: object = answer.content if isinstance(answer, Rewrite) else None
    if not isinstance(content, str):
        return None
    has_surrogates = any("\ud800" <= character <= "\udfff" for character in content)
    return (
        content if 1 <= len(content) <= MAX_CONTENT and "\0" not in content and not has_surrogates else None
    )


def _text_of(refusal: Refuse) -> str:
    message: object = refusal.message
    text = showable(message) if isinstance(message, str) else None
    return (text or Refuse().message).encode()[:MAX_TEXT_BYTES].decode(errors="ignore")
