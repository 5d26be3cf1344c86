"""What a program iterates over: messages or events, with what is missing before them, or all that happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, Self, TypeVar

from rtcli.client.events import Event, Gap, Message
from rtcli.library.inbox import EndedError, Inbox
from rtcli.library.stream_reading import StreamEvent

T = TypeVar("T")
Value = TypeVar("Value", Message, Event, StreamEvent)


class Updates(Generic[T]):
    """All that happens, in order. Each loop over it goes on where the last one ended."""

    def __init__(self, inbox: Inbox[T]) -> None:
        self._inbox = inbox

    @property
    def pending(self) -> int:
        """How many are here already: so many steps need not wait."""
        return len(self._inbox)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            return await self._inbox.take()
        except EndedError:
            raise StopAsyncIteration from None


class Feed(Generic[Value]):
    """Messages or events, each once and in order. Each loop over it goes on where the last one ended.

    What could not be delivered before one of them is its `gap`.
    """

    def __init__(self, inbox: Inbox[Any], key_of: Callable[[Value], str]) -> None:
        self._inbox = inbox
        self._key_of: Callable[[Value], str] = key_of
        self._gaps: dict[str, Gap] = {}

    @property
    def pending(self) -> int:
        """How many are here already: so many steps need not wait."""
        return len(self._inbox)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Value:
        try:
            while isinstance(taken := await self._inbox.take(), Gap):
                self._gaps[taken.room] = _joined(self._gaps.get(taken.room), taken)
        except EndedError:
            raise StopAsyncIteration from None
        value: Value = taken
        gap = self._gaps.pop(self._key_of(value), None)
        return value if gap is None else replace(value, gap=gap)


class Room(Feed[Message]):
    """The messages of one room."""

    def __init__(self, name: str, inbox: Inbox[Any]) -> None:
        super().__init__(inbox, lambda message: message.room)
        self.name = name


def _joined(first: Gap | None, second: Gap) -> Gap:
    """Two gaps with nothing between them."""
    if first is None:
        return second
    unknown = first.lost is None or second.lost is None
    lost = None if unknown else (first.lost or 0) + (second.lost or 0)
    return Gap(second.room, lost, second.reason, first.after, second.upto)
