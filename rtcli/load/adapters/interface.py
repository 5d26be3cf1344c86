"""The interface of adapters: a protocol's frames and what they mean, without a socket, a clock or the audit.

Users call an adapter to encode what they ask for (join, leave, send) and to parse what they receive into
events. An adapter keeps no state but its configuration, so one object serves all users of a role.
docs/adapters.md shows how to write one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeAlias

from rtcli.client.endpoint import Endpoint
from rtcli.load.audit.token import MARK
from rtcli.protocol.position import InvalidPositionError, Position, parse_position


class Data(NamedTuple):
    """A message of a room. Each is None when the frame does not tell it.

    `text` is the message's text as its readers get it, decoded. Without it the text is looked for in the
    received bytes.
    """

    room: str | None
    position: Position | None
    text: str | None = None


class Acked(NamedTuple):
    """The message that was sent with this id is published."""

    id: str
    position: Position | None


class Refused(NamedTuple):
    """An error: the answer to the request with this id; None when the frame does not tell which."""

    id: str | None
    code: str


class Joined(NamedTuple):
    """A join is confirmed. `recovered`: whether all that was missed will come; None: not said."""

    room: str
    position: Position | None
    recovered: bool | None


class Left(NamedTuple):
    """A leave is confirmed."""

    room: str


class Gap(NamedTuple):
    """The messages after position `after`, up to position `until`, will not come; `lost` is how many."""

    room: str
    after: Position | None
    until: Position | None
    lost: int | None


class ChannelStart(NamedTuple):
    """Where the events of a channel begin that is no room, `~me` or `~all`: behind `position`.

    `recovered`: after a resume, whether all that was missed will come.
    """

    channel: str
    position: Position | None
    recovered: bool | None


class ChannelEvent(NamedTuple):
    """An event of such a channel: a personal or a broadcast event."""

    channel: str
    position: Position | None


class Hello(NamedTuple):
    """The connection is ready for requests; `connection` is the server's name for it, or "".

    `channels`: of the personal and broadcast events, where there are any.
    """

    connection: str
    channels: Sequence[ChannelStart] = ()


class Reply(NamedTuple):
    """The frame has to be answered with this frame (heartbeats)."""

    frame: bytes


class Closing(NamedTuple):
    """The server is about to close. `retry_after`: seconds to wait before reconnecting; None: any."""

    retry_after: float | None


class Unreadable(NamedTuple):
    """A message of the protocol that lacks something, or is not as it must be; `reason` says what."""

    reason: str


class Other(NamedTuple):
    """Anything else."""


Event: TypeAlias = (
    Data | Acked | Refused | Joined | Left | Gap | Hello | ChannelEvent | Reply | Closing | Unreadable | Other
)
OTHER = Other()


def unreadable(frame: bytes, reason: str = "") -> Event:
    """What a frame that is not in the protocol's format means: a damaged message if a token is in it.

    `reason` says what it lacks, where that is known to be wrong.
    """
    if MARK in frame:
        return Data(None, None, "")
    return Unreadable(reason) if reason else OTHER


def read_position(text: str) -> Position | None:
    """Read a position of our own protocol (`k3f9-42`); None when the text is not one."""
    try:
        return parse_position(text)
    except InvalidPositionError:
        return None


@dataclass(frozen=True, slots=True)
class Opening:
    """What a connection is opened with: token, the scenario's path and headers, and for SSE the rooms."""

    token: str | None = field(default=None, repr=False)
    path: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    rooms: Sequence[str] = ()
    events: bool = False
    last_event_id: str = ""


class WsAdapter(Protocol):
    """A protocol over WebSocket. In its methods, `user` is what `${names}` mean for the user who asks."""

    transport: Literal["ws"]
    greets: bool  # a `Hello` comes before anything may be asked
    acks: bool  # sends are acknowledged
    resumes: bool  # joins can ask for what was missed
    confirms: bool  # joins are confirmed
    confirms_leaves: bool
    subprotocols: tuple[str, ...]  # to offer in the handshake

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
        """What a frame means. Never raises: a frame that cannot be read is `OTHER`."""
        ...


class SseAdapter(Protocol):
    """A protocol over event streams."""

    transport: Literal["sse"]
    greets: bool  # a `Joined` event confirms each room; False: the response confirms them
    resumes: bool  # `Last-Event-ID` brings what was missed

    def target(self, endpoint: Endpoint, opening: Opening) -> str:
        """The request's target: path and query."""
        ...

    def headers(self, opening: Opening) -> list[tuple[str, str]]:
        """Header fields of the request."""
        ...

    def parse(self, event: str, data: str, last_id: str) -> list[Event]:
        """What an event means."""
        ...
