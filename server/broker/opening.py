"""From a store's URL to its broker."""

from __future__ import annotations

import time

from server.broker.base import Broker, InvalidStoreError, Retention
from server.broker.memory import MemoryBroker


def open_broker(url: str, retention: Retention | None = None) -> Broker:
    """Open the log that `url` names: `memory:`.

    Raises InvalidStoreError, with a text for the person who wrote the URL.
    """
    retention = retention or Retention()
    if url == "memory:":
        return MemoryBroker(retention, now_ms=now_ms)
    raise InvalidStoreError(f"not a store: {url!r} (use memory:, sqlite:PATH or redis://HOST:PORT)")


def now_ms() -> int:
    """The wall clock in milliseconds since 1970, the unit of `Publication.time_ms`."""
    return time.time_ns() // 1_000_000
