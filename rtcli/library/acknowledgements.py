"""Texts whose publishers wait for the server's answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rtcli.client.events import Acked
from rtcli.errors import RtcliError
from rtcli.library.errors import UsageError

Outcome = Acked | RtcliError


class Acknowledgements:
    """One future for each id. An error is its result, too: nobody may be there to be told of an exception."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, asyncio.Future[Outcome]]] = {}  # id → room and future

    def expect(self, identifier: str, room: str) -> asyncio.Future[Outcome]:
        """Begin to wait for the answer to this id. Raises UsageError when somebody does already."""
        if identifier in self._waiting:
            raise UsageError(f"a text with the id {identifier!r} is on its way", code="usage")
        waiting: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[identifier] = room, waiting
        return waiting

    def forget(self, identifier: str) -> None:
        """Nobody waits for it any more."""
        self._waiting.pop(identifier, None)

    def settle(self, identifier: str, outcome: Outcome) -> None:
        """The answer is there."""
        _, waiting = self._waiting.get(identifier, ("", None))
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)

    def settle_all(self, outcome: Callable[[str], Outcome], room: str | None = None) -> None:
        """No answer will come any more, for this room or for all."""
        for identifier, (theirs, _) in list(self._waiting.items()):
            if room in {None, theirs}:
                self.settle(identifier, outcome(identifier))
