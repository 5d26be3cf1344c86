"""How much one client may do and have: messages per second, and connections per node, user and address.

Pure: times (monotonic seconds) and randomness are arguments.
"""

from __future__ import annotations

import ipaddress
import math
import random
import resource
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple
from weakref import WeakValueDictionary

from rtcli_server.limits.token_bucket import TokenBucket

SWEEP_AT = 1_024  # users with a bucket
DESCRIPTOR_SHARE = 0.9  # of the file descriptors; the rest is for the log, for HTTP and for saying no
_RETRY_MS = {"node": (1_000, 5_000), "user": (5_000, 15_000), "address": (2_000, 10_000)}


class UserRates:
    """One bucket per user, for all its connections and requests together.

    A bucket lives as long as a connection holds it or it has something to remember.
    """

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._held: WeakValueDictionary[str, TokenBucket] = WeakValueDictionary()
        self._kept: dict[str, TokenBucket] = {}
        self._sweep_at = SWEEP_AT

    def of(self, user_id: str, now: float) -> TokenBucket:
        """The user's bucket."""
        bucket = self._held.get(user_id)
        if bucket is None:
            if len(self._kept) >= self._sweep_at:
                self._sweep(now)
            bucket = self._kept[user_id] = self._held[user_id] = self._new_bucket(user_id, now)
        return bucket

    def _new_bucket(self, user_id: str, now: float) -> TokenBucket:  # noqa: ARG002 - for those that are shared
        return TokenBucket(self._rate_per_s, self._burst, now)

    def take(self, user_id: str, now: float) -> float:
        """Take one token of the user's and return 0, or return in how many seconds there will be one."""
        return self.of(user_id, now).take(now)

    def _sweep(self, now: float) -> None:
        """Let full buckets go; twice as many as are left may come before the next time."""
        self._kept = {user: bucket for user, bucket in self._kept.items() if not bucket.is_full(now)}
        self._sweep_at = max(SWEEP_AT, 2 * len(self._kept))


class CountedBucket(TokenBucket):
    """A user's bucket on one of several instances: it counts what is taken, to be told to the others.

    `on_busy(bucket)` is called once `worth_telling` tokens were taken since the last time they were told.
    """

    __slots__ = ("_on_busy", "_taken", "_worth_telling", "user_id")

    def __init__(
        self,
        user_id: str,
        rate_per_s: float,
        burst: float,
        now: float,
        *,
        worth_telling: int,
        on_busy: Callable[[CountedBucket], None],
    ) -> None:
        super().__init__(rate_per_s, burst, now)
        self.user_id = user_id
        self._taken = 0
        self._worth_telling = worth_telling
        self._on_busy = on_busy

    def take(self, now: float) -> float:
        """See TokenBucket."""
        wait_s = super().take(now)
        if not wait_s:
            self._taken += 1
            if self._taken == self._worth_telling:
                self._on_busy(self)
        return wait_s

    def begin(self) -> int:
        """Give what is to be told now."""
        count, self._taken = self._taken, 0
        return count

    def fail(self, count: int) -> None:
        """It could not be told: it is, together with what comes."""
        self._taken += count
        if self._taken >= self._worth_telling:
            self._on_busy(self)

    def settled(self, now: float, ahead_s: float) -> None:
        """The common bucket will be full in `ahead_s`; what was taken meanwhile comes on top."""
        self._full_at = now + ahead_s + self._taken * self._interval


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

    def of_user(self, user_id: str) -> int:
        """How many connections of a user are open."""
        return self._users.get(user_id, 0)

    def too_many_of_user(self) -> CapReached:
        """Say that a user has too many, counted over all instances."""
        return self._reached(Cap.USER)

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
