"""A message in the order of its room."""

from __future__ import annotations

from rtcli.protocol.position import Position


class Entry:
    """A message in its room's order, linked to the next one. Times are microseconds."""

    __slots__ = (
        "content",
        "delivery_key",
        "first_seen",
        "frame",
        "identity",
        "intended",
        "key",
        "lag",
        "last_seen",
        "missed_by",
        "next",
        "position",
        "text",
        "token",
        "wire",
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
        self.first_seen = 0  # time of the first delivery
        self.frame: bytes | None = None  # payload of the WebSocket frame, when it holds this message alone
        self.text: str | None = None  # data of the event stream's event, when it holds this message alone
        self.content: str | None = None  # its text where the protocol says what that is, known to be whole
        self.wire: bytes | None = None  # its text as frames contain it, known to be whole
        self.next: Entry | None = None
        self.last_seen = 0  # time of the latest delivery
        self.missed_by = 0  # number of memberships that went past it without receiving it

    @property
    def sent(self) -> int:
        """When the message was actually sent."""
        return self.intended + self.lag
