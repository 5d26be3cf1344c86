"""The log: order, append, read, and tell the other instances.

`open_broker` chooses by URL between a log in memory, in a SQLite file and in Redis.
"""

from __future__ import annotations

from rtcli_server.broker.base import (
    Broker,
    BrokerUnavailableError,
    Deliver,
    HistoryPage,
    InvalidStoreError,
    Lost,
    Published,
    ReportLost,
    Retention,
)
from rtcli_server.broker.coordinator import (
    Coordinator,
    Notification,
    OnNotification,
    PresenceChange,
    new_instance_id,
)
from rtcli_server.broker.opening import open_broker

__all__ = [
    "Broker",
    "BrokerUnavailableError",
    "Coordinator",
    "Deliver",
    "HistoryPage",
    "InvalidStoreError",
    "Lost",
    "Notification",
    "OnNotification",
    "PresenceChange",
    "Published",
    "ReportLost",
    "Retention",
    "new_instance_id",
    "open_broker",
]
