"""What an application decides about its clients: who connects, who joins which room, what is published.

`interface` has the questions and the answers, `gate` asks within a deadline and a limit, and fails closed.

From outside: the names below, `admission`, `disconnects`, and `webhooks`, which asks over HTTP.
"""

from __future__ import annotations

from rtcli_server.hooks.gate import Denial, HookGate, max_calls
from rtcli_server.hooks.interface import (
    ConnectRequest,
    Disconnected,
    Hooks,
    JoinRequest,
    PublishRequest,
    Refuse,
    Rename,
    Rewrite,
)

__all__ = [
    "ConnectRequest",
    "Denial",
    "Disconnected",
    "HookGate",
    "Hooks",
    "JoinRequest",
    "PublishRequest",
    "Refuse",
    "Rename",
    "Rewrite",
    "max_calls",
]
