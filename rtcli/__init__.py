"""rtcli: the client library, the command line and the load tester for realtime deployments.

    import rtcli

    async with rtcli.connect("http://127.0.0.1:8000") as client:
        async for message in client.room("general"):
            print(message.sender_name, message.content)

The names in `__all__` are for programs (docs/library.md); each is imported when it is first used.
`rtcli.blocking` has `connect` and `events` for programs without `async`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcli._version import __version__
from rtcli.lazy import lazy_exports

if TYPE_CHECKING:
    from rtcli import blocking
    from rtcli.client.events import (
        Acked,
        ClientEvent,
        Connected,
        ConnectionWarning,
        Direct,
        Event,
        Gap,
        Joined,
        JoinRefused,
        Left,
        Lost,
        Message,
        Presence,
        Reconnected,
        Rejected,
        RoundTrip,
        TypingChanged,
    )
    from rtcli.errors import RtcliError
    from rtcli.library.client import Client, connect
    from rtcli.library.errors import (
        CannotConnectError,
        ClosedError,
        NotConfirmedError,
        RefusedError,
        UnexpectedAnswerError,
        UsageError,
    )
    from rtcli.library.feeds import Feed, Room, Updates
    from rtcli.library.stream import EventStream, events
    from rtcli.library.stream_reading import CaughtUp, Opened, StreamEvent, StreamUpdate
    from rtcli.protocol.position import Position

__all__ = [
    "Acked",
    "CannotConnectError",
    "CaughtUp",
    "Client",
    "ClientEvent",
    "ClosedError",
    "Connected",
    "ConnectionWarning",
    "Direct",
    "Event",
    "EventStream",
    "Feed",
    "Gap",
    "JoinRefused",
    "Joined",
    "Left",
    "Lost",
    "Message",
    "NotConfirmedError",
    "Opened",
    "Position",
    "Presence",
    "Reconnected",
    "RefusedError",
    "Rejected",
    "Room",
    "RoundTrip",
    "RtcliError",
    "StreamEvent",
    "StreamUpdate",
    "TypingChanged",
    "UnexpectedAnswerError",
    "Updates",
    "UsageError",
    "__version__",
    "blocking",
    "connect",
    "events",
]

_NAMES_OF = {
    "client.events": (
        "Acked", "ClientEvent", "Connected", "ConnectionWarning", "Direct", "Event", "Gap", "JoinRefused",
        "Joined", "Left", "Lost", "Message", "Presence", "Reconnected", "Rejected", "RoundTrip",
        "TypingChanged",
    ),
    "errors": ("RtcliError",),
    "library.client": ("Client", "connect"),
    "library.errors": (
        "CannotConnectError", "ClosedError", "NotConfirmedError", "RefusedError", "UnexpectedAnswerError",
        "UsageError",
    ),
    "library.feeds": ("Feed", "Room", "Updates"),
    "library.stream": ("EventStream", "events"),
    "library.stream_reading": ("CaughtUp", "Opened", "StreamEvent", "StreamUpdate"),
    "protocol.position": ("Position",),
}  # fmt: skip

if not TYPE_CHECKING:  # or type checkers would accept every name
    __getattr__ = lazy_exports(
        __name__, {name: module for module, names in _NAMES_OF.items() for name in names} | {"blocking": ""}
    )
