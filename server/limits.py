"""How much one client may do and have: messages per second, and connections per node, user and address.

Pure: times (monotonic seconds) and randomness are arguments.
"""

from __future__ import annotations

import ipaddress
import math
import random
import resource
from collections.abc import MutableMapping
from enum import StrEnum
from typing import NamedTuple
from weakref import WeakValueDictionary

DESCRIPTOR_SHARE = 0.9  # of the file descriptors; the rest is for the log, for HTTP and for saying no
_RETRY_MS = {"node": (1_000, 5_000), "user": (5_000, 15_000), "address": (2_000, 10_000)}


class TokenBucket:
    """So many per second, and `burst` at once. One number of state (the "virtual scheduling" of GCRA).

    `take` is called for every message: about 0.1 µs.
    """

    __slots__ = ("__weakref__", "_due", "_interval", "_slack")

    def __init__(self, per_s: float, burst: float) -> None:
        """`burst` counts at least one."""
        self._interval = 1.0 / per_s
        self._slack = (max(burst, 1.0) - 1.0) * self._interval
        self._due = -math.inf  # when the bucket would be full again

    def take(self, now: float) -> bool:
        """Take one, or say that there is none. What is refused costs nothing."""
        due = self._due
        if due < now:
            self._due = now + self._interval
            return True
        if due - now > self._slack:
            return False
        self._due = due + self._interval
        return True

    def retry_after_ms(self, now: float) -> int:
        """How long until one can be taken, in milliseconds; 0 means now."""
        return math.ceil(max(0.0, self._due - now - self._slack) * 1000)


class SharedBuckets:
    """One bucket per user, shared by all its connections, and forgotten with the last of them."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._held: MutableMapping[str, TokenBucket] = WeakValueDictionary()

    def of(self, user_id: str) -> TokenBucket:
        """The user's bucket. Keep it: it lives as long as somebody holds it."""
        bucket = self._held.get(user_id)
        if bucket is None:
            bucket = self._held[user_id] = TokenBucket(self._per_s, self._burst)
        return bucket


class Cap(StrEnum):
    """Which limit a connection ran into."""

    NODE = "node"
    USER = "user"
    ADDRESS = "address"


class CapReached(NamedTuple):
    """One connection too many. Each client gets its own `retry_after_ms`, so that they come back spread."""

    cap: Cap
    retry_after_ms: int


class ConnectionCaps:
    """Counts connections. None is no limit."""

    def __init__(
        self, *, node: int | None, user: int | None, address: int | None, rng: random.Random
    ) -> None:
        self._node_limit = math.inf if node is None else node
        self._user_limit = math.inf if user is None else user
        self._address_limit = math.inf if address is None else address
        self._rng = rng
        self._users: dict[str, int] = {}
        self._addresses: dict[str, int] = {}
        self.count = 0

    def admit(self, user_id: str, address: str) -> CapReached | None:
        """Say whether a connection may be opened now. An unknown address ("") has no limit of its own."""
        if self.count >= self._node_limit:
            return self._reached(Cap.NODE)
        if self._users.get(user_id, 0) >= self._user_limit:
            return self._reached(Cap.USER)
        if address and self._addresses.get(address_key(address), 0) >= self._address_limit:
            return self._reached(Cap.ADDRESS)
        return None

    def _reached(self, cap: Cap) -> CapReached:
        return CapReached(cap, self._rng.randint(*_RETRY_MS[cap]))

    def enter(self, user_id: str, address: str) -> None:
        """Count a connection that was admitted."""
        self.count += 1
        _change(self._users, user_id, 1)
        if address:
            _change(self._addresses, address_key(address), 1)

    def leave(self, user_id: str, address: str) -> None:
        """Count it out, once."""
        self.count -= 1
        _change(self._users, user_id, -1)
        if address:
            _change(self._addresses, address_key(address), -1)


def _change(counts: dict[str, int], key: str, by: int) -> None:
    count = counts.get(key, 0) + by
    if count > 0:
        counts[key] = count
    else:
        counts.pop(key, None)


def address_key(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that one IPv6 customer has."""
    if "." in address and ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))


def default_node_limit() -> int:
    """90 % of the file descriptors that this process may have."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000_000 if soft == resource.RLIM_INFINITY else max(1, int(soft * DESCRIPTOR_SHARE))
