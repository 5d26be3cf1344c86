"""The library for programs without `async`: scripts, notebooks, threads.

    import rtcli

    with rtcli.blocking.connect("http://127.0.0.1:8000") as client:
        client.publish("general", "hello")

Each client or stream has an event loop in a thread of its own, and each call waits for what is done there. So
it works everywhere, also in a notebook or in a thread that runs a loop itself: a call lets that loop wait.

From outside: nothing but the names in `__all__`, which programs use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcli.lazy import lazy_exports

if TYPE_CHECKING:
    from rtcli.blocking.client import Client, connect
    from rtcli.blocking.reader import Reader
    from rtcli.blocking.stream import EventStream, events

__all__ = ["Client", "EventStream", "Reader", "connect", "events"]

_MODULE_OF = {
    "Client": "client",
    "EventStream": "stream",
    "Reader": "reader",
    "connect": "client",
    "events": "stream",
}

if not TYPE_CHECKING:  # or type checkers would accept every name
    __getattr__ = lazy_exports(__name__, _MODULE_OF)
