"""What a user over any transport can do."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import NamedTuple

from rtcli.load.scenario.steps import Kill


class Message(NamedTuple):
    """A message to send: `intended` is when it was due (µs), `label` the step that sends it.

    `audit`: it carries a token. `ack`: its acknowledgement is asked for. `size`: bytes of text, at least.
    `done` is told how it went.
    """

    room: str
    text: str
    intended: int
    label: str
    audit: bool = True
    ack: bool = True
    size: int | None = None
    done: asyncio.Future[None] | None = None


class Transport(ABC):
    """A user's way to send and receive; `user.User` does the rest."""

    resumes = True  # the protocol can give what was missed

    @abstractmethod
    def send(self, message: Message) -> bool:
        """Send a message; False when that cannot be now."""

    @abstractmethod
    def read_freely(self) -> None:
        """Read as fast as everything comes from now on, whatever the role says."""

    @abstractmethod
    async def _open(self, timeout: float) -> None:  # noqa: ASYNC109 - of this one attempt
        """Open the connection; raises ConnectError."""

    @abstractmethod
    async def rejoin(self, timeout: float) -> None:  # noqa: ASYNC109 - of this one attempt
        """Enter the rooms of before; raises LostError, StepError, TimeoutError."""

    @abstractmethod
    def drop(self, how: Kill | None) -> None:
        """Lose the connection in this way (None: at once and without a trace); reports nothing."""

    @abstractmethod
    def say_goodbye(self, code: int, reason: str) -> None:
        """Begin to close as the protocol wants it; `on_closed` follows."""

    @abstractmethod
    def collect(self) -> None:
        """Take over what the connection has counted."""

    @abstractmethod
    def forget(self) -> None:
        """Give up what waits for an answer of the connection that is gone."""

    @abstractmethod
    def on_lost(self, now: int) -> None:
        """Note what else there is to note when a connection is lost."""
