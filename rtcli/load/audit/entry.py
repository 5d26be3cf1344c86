"""A message in the order of its room."""

from __future__ import annotations

from rtcli.protocol.position import Position


class Entry:
    """A message in its room's order. Times are microseconds."""

    __slots__ = (
        "delivery_key",
        "frame",
        "holes",
        "identity",
        "intended",
        "key",
        "lag",
        "last",
        "next",
        "position",
        "seen",
        "text",
        "token",
    )

    def __init__(
        self,
        key: int,
        identity: int,
        token: bytes = b"",
        *,
        intended: int = 0,
        lag: int = 0,
        delivery_key: int = 0,
        position: Position | None = None,
    ) -> None:
        self.key = key
        self.identity = identity
        self.token = token
        self.intended = intended
        self.lag = lag
        self.delivery_key = delivery_key  # what deliveries are counted under: `metrics.store.delivery_key`
        self.position = position
        self.seen = 0  # the first delivery
        self.frame: bytes | None = None  # the whole WebSocket frame, when it holds this one message
        self.text: str | None = None  # the same for the data of an event stream's event
        self.next: Entry | None = None
        self.last = 0  # the latest delivery
        self.holes = 0  # memberships that passed it over

    @property
    def left(self) -> int:
        """When it was really sent."""
        return self.intended + self.lag
