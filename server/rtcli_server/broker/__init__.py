"""The log: it orders, keeps and delivers publications. In Redis it also connects instances.

From outside: what is listed in `__all__`, `chat`, which publishes a chat message, and `paging`, which reads
in pieces. `open_broker` chooses by URL between a log in memory, in a SQLite file and in Redis; nothing else
names one of these.
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
    UserWatcher,
    refuse,
)
from rtcli_server.broker.coordinator import (
    Coordinator,
    Notification,
    OnNotification,
    PresenceChange,
    new_instance_id,
)
from rtcli_server.broker.foreign import ForeignContent, Place
from rtcli_server.broker.opening import open_broker
from rtcli_server.broker.validation import CONTROL, ForeignDataError, check_member, check_revocation

__all__ = [
    "CONTROL",
    "Broker",
    "BrokerUnavailableError",
    "Coordinator",
    "Deliver",
    "ForeignContent",
    "ForeignDataError",
    "HistoryPage",
    "InvalidStoreError",
    "Lost",
    "Notification",
    "OnNotification",
    "Place",
    "PresenceChange",
    "Published",
    "ReportLost",
    "Retention",
    "UserWatcher",
    "check_member",
    "check_revocation",
    "new_instance_id",
    "open_broker",
    "refuse",
]
