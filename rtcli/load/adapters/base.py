"""What an adapter is: the words of a protocol, without a socket, a clock or the audit.

The engine speaks in verbs (join, leave, send) and hears events; an adapter turns the one into frames and
frames into the other. It keeps no state but its configuration, so one object serves all users of a role.
docs/adapters.md shows how to write one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeAlias

from rtcli.client.endpoint import Endpoint
from rtcli.protocol.position import InvalidPositionError, Position, parse_position


class Data(NamedTuple):
    """A message of a room. `room` and `position` are None when the envelope does not tell them."""

    room: str | None
    position: Position | None


class Acked(NamedTuple):
    """A message that was sent with this id is published."""

    id: str
    position: Position | None


class Refused(NamedTuple):
    """An error: of the request with this id, or (None) of nobody knows which."""

    id: str | None
    code: str


class Joined(NamedTuple):
    """A join is confirmed. `recovered` answers a request for what was missed; None: there was none."""

    room: str
    position: Position | None
    recovered: bool | None


class Left(NamedTuple):
    """A leave is confirmed."""

    room: str


class GapTold(NamedTuple):
    """The messages after one position up to another will not come."""

    room: str
    after: Position | None
    until: Position | None
    lost: int | None


class Hello(NamedTuple):
    """The connection is ready for requests."""

    connection: str


class Answer(NamedTuple):
    """The frame wants this frame in return (heartbeats)."""

    frame: bytes


class Closing(NamedTuple):
    """The connection will end; come back after that many seconds (None: it does not say)."""

    retry_after: float | None


class Other(NamedTuple):
    """Anything that the engine need not know."""


Event: TypeAlias = Data | Acked | Refused | Joined | Left | GapTold | Hello | Answer | Closing | Other
OTHER = Other()


def read_position(text: str) -> Position | None:
    """The position that a server of ours wrote; None when the text is none."""
    try:
        return parse_position(text)
    except InvalidPositionError:
        return None


@dataclass(frozen=True, slots=True)
class Opening:
    """What a connection is opened with: the scenario's own path and headers, and for SSE the rooms."""

    token: str | None = field(default=None, repr=False)
    path: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    rooms: Sequence[str] = ()
    events: bool = False
    last_event_id: str = ""


class WsAdapter(Protocol):
    """A protocol over WebSocket. `greets`: a `Hello` comes first; `acks`: sends are acknowledged.

    `user` is what `${names}` mean for the user who asks.
    """

    transport: Literal["ws"]
    greets: bool
    acks: bool
    resumes: bool  # joins can ask for what was missed
    confirms: bool  # joins are confirmed
    confirms_leaves: bool
    subprotocols: tuple[str, ...]

    def url(self, endpoint: Endpoint, opening: Opening) -> str:
        """The address to connect to."""
        ...

    def headers(self, opening: Opening) -> list[tuple[str, str]]:
        """Header fields of the handshake."""
        ...

    def hello(self, user: Mapping[str, object]) -> list[bytes]:
        """Frames to send first."""
        ...

    def join(
        self,
        room: str,
        since: Position | None,
        history: int,
        request_id: str,
        user: Mapping[str, object],
    ) -> bytes | None:
        """Ask to enter a room, and for what came after `since`. None: the protocol has no rooms to enter."""
        ...

    def leave(self, room: str, request_id: str, user: Mapping[str, object]) -> bytes | None:
        """Ask to leave a room."""
        ...

    def send(self, room: str, text: str, request_id: str, user: Mapping[str, object]) -> bytes:
        """Publish a message."""
        ...

    def typing(self, room: str, *, is_typing: bool) -> bytes | None:
        """Say that the user is typing; None: the protocol cannot."""
        ...

    def parse(self, frame: bytes) -> Event:
        """What a frame means. Never raises: what cannot be read is `OTHER`."""
        ...


class SseAdapter(Protocol):
    """A protocol over event streams. `greets`: `Joined` events come; else the response confirms the rooms."""

    transport: Literal["sse"]
    greets: bool
    resumes: bool

    def target(self, endpoint: Endpoint, opening: Opening) -> str:
        """The request's target: path and query."""
        ...

    def headers(self, opening: Opening) -> list[tuple[str, str]]:
        """Header fields of the request."""
        ...

    def parse(self, event: str, data: str, last_id: str) -> list[Event]:
        """What an event means."""
        ...
