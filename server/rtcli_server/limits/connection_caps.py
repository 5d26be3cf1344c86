"""Limits on the number of open connections: on this node, of one user, from one address. Pure."""

from __future__ import annotations

import ipaddress
import math
import random
import resource
from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple

DESCRIPTOR_SHARE = 0.9  # of the file descriptors; the rest is for the log, for HTTP and for refusals
_RETRY_MS = {"node": (1_000, 5_000), "user": (5_000, 15_000), "address": (2_000, 10_000)}


class Cap(StrEnum):
    """Which limit a connection has reached."""

    NODE = "node"
    USER = "user"
    ADDRESS = "address"


class CapReached(NamedTuple):
    """One connection too many. Each client gets its own `retry_after_ms`, which spreads their returns."""

    cap: Cap
    retry_after_ms: int


class ConnectionCaps:
    """Counts connections and compares them with limits. None is no limit."""

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

    def check(self, user_id: str, address: str) -> CapReached | None:
        """Return the limit that one more connection would exceed. An unknown address ("") has no limit."""
        if self.count >= self._node_limit:
            return self._reached(Cap.NODE)
        if self._users.get(user_id, 0) >= self._user_limit:
            return self._reached(Cap.USER)
        if address and self._addresses.get(address_key(address), 0) >= self._address_limit:
            return self._reached(Cap.ADDRESS)
        return None

    def users(self) -> Collection[str]:
        """The users who have a connection."""
        return self._users.keys()

    def count_of(self, user_id: str) -> int:
        """Number of open connections of a user."""
        return self._users.get(user_id, 0)

    def user_cap_reached(self) -> CapReached:
        """The answer to a user who has too many connections, counted over all instances."""
        return self._reached(Cap.USER)

    def _reached(self, cap: Cap) -> CapReached:
        return CapReached(cap, self._rng.randint(*_RETRY_MS[cap]))

    def add(self, user_id: str, address: str) -> None:
        """Count a connection that was admitted."""
        self.count += 1
        _change(self._users, user_id, 1)
        if address:
            _change(self._addresses, address_key(address), 1)

    def remove(self, user_id: str, address: str) -> None:
        """Stop counting a connection. To be called once for each `add`."""
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
