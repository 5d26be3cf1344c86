"""Which adapter speaks for a role."""

from __future__ import annotations

from rtcli.load.adapters.base import SseAdapter, WsAdapter
from rtcli.load.adapters.rtcli_sse import RtcliSse
from rtcli.load.adapters.rtcli_ws import RtcliWs
from rtcli.load.scenario import Role, Scenario


class UnsupportedProtocolError(Exception):
    """There is no adapter for the protocol."""


def adapter_for(scenario: Scenario, role: Role) -> WsAdapter | SseAdapter:
    """The adapter of a role; raises UnsupportedProtocolError."""
    protocol = scenario.protocol_of(role)
    if protocol == "rtcli":
        return RtcliWs()
    if protocol == "sse":
        return RtcliSse()
    raise UnsupportedProtocolError(f"there is no adapter for the protocol {protocol!r} yet")
