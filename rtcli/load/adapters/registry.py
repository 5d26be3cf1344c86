"""Which adapter speaks for a role."""

from __future__ import annotations

from rtcli.load.adapters import installed
from rtcli.load.adapters.base import SseAdapter, WsAdapter
from rtcli.load.adapters.json_ws import JsonWs
from rtcli.load.adapters.plain_sse import PlainSse
from rtcli.load.adapters.rtcli_sse import RtcliSse
from rtcli.load.adapters.rtcli_ws import RtcliWs
from rtcli.load.scenario.model import Role, Scenario


def adapter_for(scenario: Scenario, role: Role) -> WsAdapter | SseAdapter:
    """The adapter of a role; raises installed.AdapterError."""
    protocol = scenario.protocol_of(role)
    target = scenario.target
    if protocol == "rtcli":
        return RtcliWs()
    if protocol == "sse":
        return RtcliSse() if target.protocol == "rtcli" else PlainSse()
    if protocol == "json" and target.frames is not None:  # the grammar does not let it be None
        return JsonWs(target, target.frames, scenario.seed)
    return installed.make(protocol, target)
