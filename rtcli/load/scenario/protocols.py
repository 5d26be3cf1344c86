"""The protocols that a scenario can name: the built-in ones, and those that installed packages add.

A package adds one by an entry point of the group `rtcli.adapters` (docs/adapters.md): its name is the
protocol's name in scenarios, its value a class that is called with the scenario's `Target`. The class is
imported only when a scenario names the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

BUILT_IN: Mapping[str, str] = {"rtcli": "ws", "sse": "sse", "json": "ws"}
"""The transport of each built-in protocol."""

_GROUP = "rtcli.adapters"
_TRANSPORTS = ("ws", "sse")


class AdapterError(Exception):
    """The adapter of an installed package cannot be used; the text says which one and why."""


def protocol_names() -> list[str]:
    """The names that a scenario may use here: the built-in protocols first, then the installed ones."""
    return [*BUILT_IN, *sorted(_installed().keys() - BUILT_IN.keys())]


def transport_of(protocol: str) -> str:
    """Whether a protocol runs over `ws` or `sse`. Raises AdapterError."""
    return BUILT_IN.get(protocol) or str(load_adapter_class(protocol).transport)


def load_adapter_class(protocol: str) -> Any:  # noqa: ANN401 - a class of another package
    """Import the adapter class of an installed protocol. Raises AdapterError.

    It is a class with a `transport`; whether its instances are complete adapters is not checked.
    """
    point = _installed().get(protocol)
    if point is None:
        raise AdapterError(f"no installed package has an adapter for {protocol!r}")
    try:
        adapter_class = point.load()
    except Exception as error:
        raise AdapterError(f"the adapter for {protocol!r} cannot be loaded: {summarize(error)}") from error
    if not isinstance(adapter_class, type) or getattr(adapter_class, "transport", None) not in _TRANSPORTS:
        raise AdapterError(f"{point.value} is no adapter: a class with `transport`, which is ws or sse")
    return adapter_class


def summarize(error: Exception) -> str:
    """The type of an exception, and its text if it has one."""
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _installed() -> dict[str, EntryPoint]:
    """The entry points by the name of their protocol."""
    return {point.name: point for point in entry_points(group=_GROUP)}
