"""What all HTTP connections of one server share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from rtcli_server.connections.answers import Answers
from rtcli_server.timing.clock import Clock
from rtcli_server.timing.timer_wheel import TimerWheel
from rtcli_server.transports.http.trusted_proxies import TrustedProxies
from rtcli_server.transports.http.turns import Turns

READ_BYTES: Final = 65_536  # at once; so much of a connection's input is in memory before it is parsed


def _read_buffer() -> memoryview:
    return memoryview(bytearray(READ_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """Limits and timers.

    `deadline_s` is the time for a whole request, `idle_s` the time between two. `max_bytes` and `max_fields`
    are for a head.
    """

    wheel: TimerWheel
    clock: Clock
    deadline_s: float
    idle_s: float = 5.0
    max_bytes: int
    max_fields: int
    proxies: TrustedProxies
    answers: Answers
    turns: Turns = field(default_factory=Turns)
    read_buffer: memoryview = field(
        default_factory=_read_buffer
    )  # the loop fills it for one connection at a time
