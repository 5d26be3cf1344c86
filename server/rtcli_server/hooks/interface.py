"""The hooks that an application may have: a class with the methods that it needs, and no others.

class Chat(Hooks):
    async def join(self, request: JoinRequest) -> Refuse | None:  # noqa: ARG002 - for those who override it
        return Refuse("Staff only") if request.room == "staff" else None
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Name: TypeAlias = Literal["connect", "join", "publish", "disconnect"]
NAMES: tuple[Name, ...] = ("connect", "join", "publish", "disconnect")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectRequest:
    """A client with a valid token wants to connect. `transport` is `websocket` or `sse`."""

    user_id: str
    name: str
    address: str
    transport: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """A user wants to be in a room, or to read it; its token allows that.

    `connection_id` is None for event streams, and for pages of messages and lists of members over HTTP.
    """

    user_id: str
    name: str
    room: str
    connection_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """A user wants to publish a message in a room; its token allows that. Over HTTP, no `connection_id`."""

    user_id: str
    name: str
    room: str
    content: str
    id: str | None
    connection_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """A client has gone, whoever ended the connection."""

    user_id: str
    address: str
    transport: str
    connection_id: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """No. The client is told `message`, at most 100 bytes of it."""

    message: str = "Not allowed"


@dataclass(frozen=True, slots=True)
class Rename:
    """Yes, under this display name: others see it as long as the connection lasts."""

    name: str


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Yes, but with this content: 1 to 16 384 characters."""

    content: str


class NoAnswerError(Exception):
    """There is no answer, for a reason outside of the hook: the log has its text, and no traceback."""


class Hooks:
    """The base of an application's hooks: override those that are needed. None means: as it is.

    They run on the event loop of the server, and must not block it.
    """

    def implemented(self) -> frozenset[Name]:
        """Return which hooks there are. Asked once: the others cost nothing."""
        return frozenset(name for name in NAMES if getattr(type(self), name) is not getattr(Hooks, name))

    async def connect(self, request: ConnectRequest) -> Refuse | Rename | None:  # noqa: ARG002 - for those who override it
        """Decide about a new WebSocket connection or event stream."""
        return None

    async def join(self, request: JoinRequest) -> Refuse | None:  # noqa: ARG002 - for those who override it
        """Decide whether a user may join, follow or read a room."""
        return None

    async def publish(self, request: PublishRequest) -> Refuse | Rewrite | None:  # noqa: ARG002 - for those who override it
        """Decide about a message before it is in the log."""
        return None

    async def disconnect(self, event: Disconnected) -> None:
        """Take note that a client has gone. What it returns is ignored."""

    async def close(self) -> None:
        """Release what the hooks hold: the server has ended."""
