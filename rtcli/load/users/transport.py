"""How a user sends and receives: the interface of a transport, and what it reports to its user."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol

from rtcli.load.accounts.absences import Cause
from rtcli.load.adapters.interface import Opening
from rtcli.load.audit.token import LENGTH
from rtcli.load.scenario.steps import Kill
from rtcli.load.users.frame_observers import FrameObserver
from rtcli.load.users.room_requests import RoomRequests


class OutgoingMessage(NamedTuple):
    """A message to send.

    `intended` is when it is due (microseconds of the monotonic clock), `label` the step that sends it,
    `audit` whether it carries a token, `ack` whether to ask for its acknowledgement, `size` the least length
    of its text. `done` gets the outcome.
    """

    room: str
    text: str
    intended: int
    label: str
    audit: bool = True
    ack: bool = True
    size: int | None = None
    done: asyncio.Future[None] | None = None

    def behind_token(self) -> str:
        """What follows the token in an audited message's text, padded to the message's size."""
        rest = f" {self.text}" if self.text else ""
        return rest if self.size is None else rest + _padding(self.size - LENGTH - len(rest))

    def without_token(self) -> str:
        """The text of a message that is not audited, padded to its size."""
        return self.text if self.size is None else self.text + _padding(self.size - len(self.text))


def _padding(missing: int) -> str:
    """Padding of so many characters; a text never ends with a space that a server might remove."""
    return " " + "." * (missing - 1) if missing > 1 else "." * missing


class UnacceptedMessage(NamedTuple):
    """A message that is not accepted, or not yet. Times in µs of the monotonic clock."""

    room: str
    due: int
    number: int = 0  # counted by its user in its room from 1; 0: it has none
    sent: int | None = None  # None: it was not sent


class Capabilities(NamedTuple):
    """What a transport can do with its adapter: flows ask these flags, not for types."""

    sends_on_connection: bool  # False: over HTTP, with or without a connection
    acks: bool  # sends are answered


class TransportObserver(Protocol):
    """Who a transport reports to: its user. Times are microseconds of the monotonic clock."""

    def on_open(self, now: int) -> None:
        """The connection is open. It is reported before anything that came over it."""
        ...

    def on_closing(self, retry_after: float | None) -> None:
        """The server is about to close, and says how many seconds to wait before coming back."""
        ...

    def on_closed(self, code: int, reason: str, retry_after: float | None = None) -> None:
        """The connection has ended. `code` is 0 where the protocol has none; not called after `drop`."""
        ...

    def on_refused(self, message: UnacceptedMessage, code: str) -> None:
        """The server answered a message with an error."""
        ...

    def on_unanswered(self, message: UnacceptedMessage, closed: int | None) -> None:
        """The connection ended before a message was answered. `closed`: its code; None: the user ended it."""
        ...

    def why_unanswered(self, closed: int | None) -> tuple[str, str] | None:
        """The code and the text of how a connection ended (`closed` as above); None: by the scenario."""
        ...

    def on_failed(self, message: UnacceptedMessage, cause: Cause) -> None:
        """A request to publish had no answer, or could not be made."""
        ...

    def on_failure(self, error: Exception) -> None:
        """The adapter or our own code has failed, which says nothing of the server."""
        ...


class Transport(Protocol):
    """A user's way to send and receive. It owns the connection and all that waits for an answer over it."""

    capabilities: Capabilities
    final_statuses: frozenset[int]
    """HTTP statuses that say that the request is wrong, so that asking again is of no use."""
    was_let_in: bool
    """Whether the server has shown over the latest connection that it let the user in: it greeted it, or
    confirmed something, or sent anything. Protocols may do none of these."""
    rooms: RoomRequests | None
    """Requests to enter and leave rooms; None: the request that opens the connection names them."""

    async def open(self, opening: Opening, timeout: float) -> None:  # noqa: ASYNC109 - of this one attempt
        """Open a connection. Raises OSError, TimeoutError, RefusedError, LostError.

        It returns without `on_open` having been called when the connection was closed at once.
        """
        ...

    def send(self, message: OutgoingMessage) -> bool:
        """Send a message; False when that is not possible now."""
        ...

    def typing(self, room: str, *, is_typing: bool) -> bool:
        """Say that the user is typing; False when that is not possible now. Raises StepError."""
        ...

    @property
    def is_waiting(self) -> bool:
        """Whether messages wait for their answers."""
        ...

    def take_unanswered(self) -> list[tuple[UnacceptedMessage, str]]:
        """Stop waiting for answers: the messages that got none by now.

        With the code of an error that may have been the answer, or "".
        """
        ...

    def close(self, code: int, reason: str) -> None:
        """Begin to close as the protocol wants it; `on_closed` follows."""
        ...

    def drop(self, how: Kill) -> None:
        """Lose the connection, if any, and fail what waits for its answers; reports nothing."""
        ...

    def read_freely(self) -> None:
        """Lift the limit of a slow reader."""
        ...

    def collect(self) -> None:
        """Record what the connection has counted since the last time."""
        ...

    def add_observer(self, observer: FrameObserver) -> None:
        """Show every frame to an observer from now on."""
        ...

    def remove_observer(self, observer: FrameObserver) -> None:
        """Stop showing frames to an observer."""
        ...
