"""The wire protocol, shared by server, clients and load tester. Pure: no I/O, no clock, no logging.

`docs/protocol.md` is its specification; where that page and this package differ, one of them is a bug. The
names in `__all__` are for programs that build on rtcli; each is imported when it is first used.

From outside: within rtcli, all modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcli.lazy import lazy_exports

if TYPE_CHECKING:
    from rtcli.protocol.codes import CloseCode, ErrorCode, GapReason, should_reconnect
    from rtcli.protocol.messages import MessageError, decode_server, encode
    from rtcli.protocol.position import InvalidPositionError, Position, parse_position
    from rtcli.protocol.sse import ServerSentEvent, SSELimitError, SSEParser
    from rtcli.protocol.tokens import Claims, RoomGrant, create_token

__all__ = [
    "Claims",
    "CloseCode",
    "ErrorCode",
    "GapReason",
    "InvalidPositionError",
    "MessageError",
    "Position",
    "RoomGrant",
    "SSELimitError",
    "SSEParser",
    "ServerSentEvent",
    "create_token",
    "decode_server",
    "encode",
    "parse_position",
    "should_reconnect",
]

_MODULE_OF = {
    "Claims": "tokens",
    "CloseCode": "codes",
    "ErrorCode": "codes",
    "GapReason": "codes",
    "InvalidPositionError": "position",
    "MessageError": "messages",
    "Position": "position",
    "RoomGrant": "tokens",
    "SSELimitError": "sse",
    "SSEParser": "sse",
    "ServerSentEvent": "sse",
    "create_token": "tokens",
    "decode_server": "messages",
    "encode": "messages",
    "parse_position": "position",
    "should_reconnect": "codes",
}

if not TYPE_CHECKING:  # or type checkers would accept every name
    __getattr__ = lazy_exports(__name__, _MODULE_OF)
