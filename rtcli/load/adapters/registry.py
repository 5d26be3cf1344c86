"""Chooses and makes the adapter of a role."""

from __future__ import annotations

from rtcli.load.adapters.guarded import GuardedSse, GuardedWs
from rtcli.load.adapters.interface import SseAdapter, WsAdapter
from rtcli.load.adapters.json_ws import JsonWs
from rtcli.load.adapters.plain_sse import PlainSse
from rtcli.load.adapters.rtcli_sse import RtcliSse
from rtcli.load.adapters.rtcli_ws import RtcliWs
from rtcli.load.scenario.model import Role, Scenario, Target
from rtcli.load.scenario.protocols import AdapterError, load_adapter_class, summarize

_INTERFACES: dict[str, type] = {"ws": WsAdapter, "sse": SseAdapter}


def adapter_for(scenario: Scenario, role: Role) -> WsAdapter | SseAdapter:
    """The adapter of a role. Raises AdapterError."""
    protocol = scenario.protocol_of(role)
    target = scenario.target
    if protocol == "rtcli":
        return RtcliWs()
    if protocol == "sse":
        return RtcliSse() if target.protocol == "rtcli" else PlainSse()
    if protocol == "json" and target.frames is not None:  # the grammar does not let it be None
        return JsonWs(target, target.frames, scenario.seed)
    return _make_installed(protocol, target)


def _make_installed(protocol: str, target: Target) -> WsAdapter | SseAdapter:
    """Make the adapter of an installed package and check that it has every member of its interface."""
    adapter_class = load_adapter_class(protocol)
    try:
        adapter: WsAdapter | SseAdapter = adapter_class(target)
    except Exception as error:
        raise AdapterError(f"the adapter for {protocol!r} cannot be made: {summarize(error)}") from error
    missing = [name for name in _members(_INTERFACES[adapter.transport]) if not hasattr(adapter, name)]
    if missing:
        raise AdapterError(f"the adapter for {protocol!r} lacks {', '.join(missing)} (see docs/adapters.md)")
    if adapter.transport == "ws":
        return GuardedWs(protocol, adapter)
    return GuardedSse(protocol, adapter)


def _members(interface: type) -> list[str]:
    own = {*interface.__annotations__, *vars(interface)}
    return sorted(name for name in own if not name.startswith("_"))
