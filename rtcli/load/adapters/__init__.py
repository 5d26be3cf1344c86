"""Adapters: how the load tester speaks the protocols of different deployments.

From outside: the names below, for who writes an adapter (docs/adapters.md). Users and workers of the load
tester also import `interface`, and `registry.adapter_for`.
"""

from rtcli.client.endpoint import Endpoint
from rtcli.load.adapters.interface import (
    OTHER,
    Acked,
    ChannelEvent,
    ChannelStart,
    Closing,
    Data,
    Event,
    Gap,
    Hello,
    Joined,
    Left,
    Opening,
    Other,
    Refused,
    Reply,
    SseAdapter,
    Unreadable,
    WsAdapter,
    unreadable,
)
from rtcli.load.adapters.rtcli_sse import RtcliSse
from rtcli.load.adapters.rtcli_ws import RtcliWs
from rtcli.load.scenario.model import Target
from rtcli.protocol.position import Position

__all__ = [
    "OTHER",
    "Acked",
    "ChannelEvent",
    "ChannelStart",
    "Closing",
    "Data",
    "Endpoint",
    "Event",
    "Gap",
    "Hello",
    "Joined",
    "Left",
    "Opening",
    "Other",
    "Position",
    "Refused",
    "Reply",
    "RtcliSse",
    "RtcliWs",
    "SseAdapter",
    "Target",
    "Unreadable",
    "WsAdapter",
    "unreadable",
]
