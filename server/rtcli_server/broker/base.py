"""What a log promises: the `Broker` protocol and its value types.

A broker keeps one log per channel (`room:<name>`, `user:<id>`, `all`), gives every publication its
position in it, and delivers it to the instances that have members there. The guarantees are on the
protocol's methods; in `tests/conformance`, `test_brokers.py` and `test_user_watcher.py` check them for
every implementation.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.auth.revocations import Revocation
from rtcli_server.broker.coordinator import Coordinator, OnNotification

_log = logging.getLogger(__name__)

MAX_PAGE = 500  # publications in one page of history
EPOCH_CHARACTERS = 8  # 36**8: two logs share an epoch once in 2.8 * 10**12


class BrokerUnavailableError(Exception):
    """The log cannot do this now. A publish may be repeated with the same idempotency key.

    `maybe_published`: of a publish, whether it may be in the log after all: only its confirmation is missing.
    """

    def __init__(self, reason: str, *, maybe_published: bool = False) -> None:
        super().__init__(reason)
        self.maybe_published = maybe_published


class InvalidStoreError(Exception):
    """The store that the URL names cannot be used as a log: foreign, damaged, in use, of a newer version."""


class Published(NamedTuple):
    """The position of a publication, and whether it was there already (the same key came before)."""

    position: Position
    duplicate: bool


class HistoryPage(NamedTuple):
    """Some publications of a channel, ascending by offset, and the top of its log at the same instant."""

    publications: list[Publication]
    top: Position


class Lost(NamedTuple):
    """Publications of `channel` up to `position` that were not delivered, and will not be."""

    channel: str
    position: Position


Deliver = Callable[[Publication], None]
ReportLost = Callable[[Lost], None]


class UserWatcher(Protocol):
    """Is told that something was published in channels of users, without a subscription to each.

    It must not raise.
    """

    def published(self, channel: str) -> None:
        """Something was published in this user's channel, subscribed or not: it is in the log."""
        ...

    def missed(self) -> None:
        """Some of these calls may be missing: compare what is known of each channel with its top."""
        ...

    def positions(self, channel: str) -> Sequence[Position]:  # noqa: ARG002 - of nobody
        """Return the latest position in each epoch that somebody here was told of this user's channel.

        A log that was told of them does not give them to other publications.
        """
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much a log keeps. The oldest publications of a channel go first.

    When the space for all channels runs out, the oldest publications of the least recently used channel go
    (memory), or those of the whole log (SQLite). Redis has no such budget: there it is `maxmemory`.
    """

    max_count: int = 1_000  # publications per channel
    max_age_s: float = 86_400.0
    max_channel_bytes: int = 8 * 1024 * 1024
    max_total_bytes: int = 256 * 1024 * 1024
    idempotency_s: float = 300.0  # how long a key is remembered
    max_keys: int = 250_000  # and how many of them; beyond that the oldest are forgotten early

    def __post_init__(self) -> None:
        """Raise ValueError for a limit that is not positive."""
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0")

    @property
    def max_age_ms(self) -> int:
        """The age limit in the unit of `Publication.time_ms`."""
        return int(self.max_age_s * 1000)

    @property
    def idempotency_ms(self) -> int:
        """How long a key is remembered, in milliseconds."""
        return int(self.idempotency_s * 1000)


class Broker(Protocol):
    """One log per channel. Every method is called on the event loop's thread."""

    @property
    def coordinator(self) -> Coordinator | None:
        """What connects the instances that share this log; None for a log that only one process can use."""
        ...

    def publish(
        self,
        channel: str,
        event: str,
        data: bytes,
        *,
        key: str | None = None,
        time_ms: int,
        exclude: Exclusion | None = None,
    ) -> asyncio.Future[Published]:
        """Append one publication and deliver it, as one step per channel.

        `data` is one JSON object as UTF-8; `time_ms` is Unix time in milliseconds; `exclude` is kept with it.

        - Order: two calls for one channel on one instance take their offsets in the order of the calls.
          Offsets of a channel rise by 1 within an epoch, over all instances.
        - The future resolves when the publication is in the log, and never before (each log says itself what
          that survives). It may be resolved already, so look at `done()` first.
        - It fails with BrokerUnavailableError and nothing else. Then the publication is not in the log or,
          where `maybe_published` says so, may be; a repeat with the same `key` is safe.
        - Back-pressure: with too many publishes outstanding, further ones fail at once.
        - `key` (scoped by the caller to its user): the same channel and key within
          `Retention.idempotency_s` is published once. The repeats resolve to the first position with
          `duplicate` set, also when they run concurrently, and are not delivered again.
        - Cancelling the future does not withdraw the publication.
        """
        ...

    async def history(self, channel: str, *, since: Position | None, limit: int) -> HistoryPage:
        """Read up to `limit` publications (at most 500), ascending.

        They are the last ones when `since` is None, else the first ones after `since`.

        - Page and top are one snapshot. A channel without publications has a top with offset 0 (or the
          offset where it ended, when everything in it was trimmed).
        - `since` of another epoch, or beyond the top: no publications. `since` of a trimmed publication:
          those that are left, so that the first offset is not `since.offset + 1`
          (`position.recovery_failure` finds this out).
        - When the channel is subscribed, everything after `top` will be, or already was, delivered.

        Raises BrokerUnavailableError.
        """
        ...

    def subscribe(self, channel: str) -> None:
        """Deliver this channel's publications. Subscribing twice is the same as once.

        A remote log may need a moment: everything after the top of a later `history` is delivered; what was
        published before that may not be. So subscribe, read history, and continue from its top.
        """
        ...

    def unsubscribe(self, channel: str) -> None:
        """Stop delivering this channel; nothing of it is delivered after the call."""
        ...

    async def run(
        self,
        deliver: Deliver,
        lost: ReportLost | None = None,
        on_notification: OnNotification | None = None,
        users: UserWatcher | None = None,
    ) -> None:
        """Deliver publications of subscribed channels until `close` is called; start this first.

        `deliver` is called on the loop's thread, in order, each publication at most once: per channel the
        offsets rise. It must not publish, nor raise (an error is logged, and the next one delivered).
        An offset that is not one more than the one before, or a new epoch, means that the publications
        between them are lost; `lost` says the same when no later publication shows it. `on_notification`
        gets what instances `notify` in subscribed channels, where the log has a coordinator. `users` is told
        of all users' channels, also without subscriptions, which would cost something for each of them.
        """
        ...

    async def revoke(self, revocation: Revocation) -> None:
        """Keep a revocation until its time, merged with one about the same.

        Returns when the store has it, as safe as a publication. Raises BrokerUnavailableError; it may be
        repeated.
        """
        ...

    async def revocations(self) -> list[Revocation]:
        """Read all revocations whose time is not over. Raises BrokerUnavailableError."""
        ...

    async def ready(self) -> bool:
        """Whether a publish now would be taken and delivered.

        A remote log finds it out by a write of its own at least each second. That it ends is logged with its
        cause, once for each, and that it works again (`health.StoreHealth`).
        """
        ...

    async def close(self) -> None:
        """Finish what was published, end `run`, release everything. Later publishes are refused."""
        ...


def refuse(future: asyncio.Future[Any], reason: BrokerUnavailableError | str) -> None:
    """Fail a request, unless it is over.

    Who made it may be gone meanwhile, or wait for something else first: so the exception counts as looked at.
    Otherwise the garbage collector logs it, for each of thousands of requests that a dead store leaves.
    """
    if not future.done():
        future.set_exception(BrokerUnavailableError(reason) if isinstance(reason, str) else reason)
        future.exception()


def guarded(deliver: Deliver) -> Deliver:
    """Make a `deliver` that logs errors instead of raising them: the log has done its part by then."""

    def deliver_or_log(publication: Publication) -> None:
        try:
            deliver(publication)
        except Exception:  # noqa: BLE001 - whatever a receiver does wrong, the next delivery takes place
            _log.exception("delivering %s-%d failed", publication.channel, publication.offset)

    return deliver_or_log


def new_epoch() -> str:
    """Make a random epoch: `[a-z0-9]{8}`."""
    alphabet = string.ascii_lowercase + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(EPOCH_CHARACTERS))
