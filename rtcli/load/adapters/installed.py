"""Protocols that other packages add: entry points of the group `rtcli.adapters` (docs/adapters.md).

The name of the entry point is the protocol's name in scenarios, its value a class that is made with the
scenario's `Target`. It is imported only when a scenario names it.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from rtcli.load.adapters.base import SseAdapter, WsAdapter
from rtcli.load.scenario.model import Target

GROUP = "rtcli.adapters"
_INTERFACES: dict[str, type] = {"ws": WsAdapter, "sse": SseAdapter}


class AdapterError(Exception):
    """An installed adapter cannot be used; the text says which one and why."""


def installed() -> dict[str, EntryPoint]:
    """The entry points by the name of their protocol."""
    return {point.name: point for point in entry_points(group=GROUP)}


def transport_of(protocol: str) -> str:
    """Whether an installed protocol runs over `ws` or `sse`. Raises AdapterError."""
    return str(_load(protocol).transport)  # type: ignore[attr-defined] # looked at when it was loaded


def make(protocol: str, target: Target) -> WsAdapter | SseAdapter:
    """The adapter for a target. Raises AdapterError."""
    kind = _load(protocol)
    try:
        adapter: WsAdapter | SseAdapter = kind(target)
    except Exception as error:
        raise AdapterError(f"the adapter for {protocol!r} cannot be made: {_said(error)}") from error
    interface = _INTERFACES[adapter.transport]
    missing = [name for name in _members(interface) if not hasattr(adapter, name)]
    if missing:
        raise AdapterError(f"the adapter for {protocol!r} lacks {', '.join(missing)} (see docs/adapters.md)")
    return adapter


def _load(protocol: str) -> type:
    point = installed().get(protocol)
    if point is None:
        raise AdapterError(f"no installed package has an adapter for {protocol!r}")
    try:
        kind = point.load()
    except Exception as error:
        raise AdapterError(f"the adapter for {protocol!r} cannot be loaded: {_said(error)}") from error
    if not isinstance(kind, type) or getattr(kind, "transport", None) not in _INTERFACES:
        raise AdapterError(f"{point.value} is no adapter: a class with `transport`, which is ws or sse")
    return kind


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _members(interface: type) -> list[str]:
    own = {*interface.__annotations__, *vars(interface)}
    return sorted(name for name in own if not name.startswith("_"))
