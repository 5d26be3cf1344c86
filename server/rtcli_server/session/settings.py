"""The parameters of a session: the user's rights, the kind of heartbeat, and the limits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Rights(Protocol):
    """What a session needs to know of a token."""

    @property
    def user_id(self) -> str:
        """The token's `sub`."""
        ...

    @property
    def expires_at(self) -> float:
        """When the token ends, in Unix seconds."""
        ...

    def can_join(self, room: str) -> bool:
        """Whether this user may be a member of `room`."""
        ...

    def can_publish(self, room: str) -> bool:
        """Whether this user may publish in `room`."""
        ...


class HeartbeatMode(Enum):
    """Which side sends the pings."""

    CLIENT = 1  # /ws: the client may ping; the server finds dead peers with RFC 6455 pings
    SERVER = 2  # /ws/v2: the server sends `ping` messages, which the client answers


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """The intervals and limits of a session."""

    ping_interval_s: float = 30.0
    pong_timeout_s: float = 10.0
    max_misses: int = 3
    rfc_ping_interval_s: float = 20.0
    rfc_ping_timeout_s: float = 20.0
    max_rooms: int = 100
    token_expiring_s: float = 60.0
    expiry_grace_s: float = 25.0
    max_invalid: int = 20  # messages in a row
    rate_limit_per_s: float | None = 100.0  # messages of any type; None: no limit
    rate_burst: float = 200.0
    max_refused: int = 1_000  # messages over the rate, without a pause, until it closes with 4003
    refused_retry_ms: int = 10_000  # after which such a client may reconnect
