"""Revocations on all instances: carried out here, kept in the log's store, and told to the others.

An instance reads the list from the store when it starts, and again whenever a command may have passed it by
or the store may have forgotten something; what the store lacks then is put back. So it is enough that one
instance that knows a revocation and the store meet.

The order matters. Who revokes writes to the store first and sends the command then; who reads the store
gets the commands already. So a revocation is in what was read, or its command comes later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from rtcli.protocol.position import Position
from rtcli_server.auth.revocations import MAX_LISTED, Revocation, RevocationKind, RevokedTokens
from rtcli_server.broker import Broker, BrokerUnavailableError
from rtcli_server.cluster.control import CHANNEL, EVENT, Revoke, encode_command
from rtcli_server.timing.pacing import batched

RETRY_S = 1.0
FIRST_READ_S = 2.0  # how long a start waits for the list; a store that is not up yet is asked again later
SAY_AGAIN_MS = 60_000  # that the list is full
AT_ONCE = 500  # that one turn of the loop looks at

_log = logging.getLogger(__name__)


class TooManyRevocationsError(Exception):
    """As many as may be are kept, and none of them is over."""


class Revocations:
    """`enforce(revocation)` ends the connections that a revocation is about."""

    def __init__(
        self,
        broker: Broker,
        revoked: RevokedTokens,
        *,
        enforce: Callable[[Revocation], None],
        wall_ms: Callable[[], int],
    ) -> None:
        self._broker = broker
        self._revoked = revoked
        self._enforce = enforce
        self._wall_ms = wall_ms
        self._refused_ms = 0  # when it was said last that one does not fit
        self._untold = RevokedTokens(wall_ms)  # those of which the others may not know yet
        self._commands_at: Position | None = None  # up to there, each command came or is in what was read

    def check_room(self, revocation: Revocation) -> None:
        """Raise TooManyRevocationsError when one more is too many."""
        if self._revoked.full and not self._revoked.has(revocation):
            raise TooManyRevocationsError

    async def revoke(self, revocation: Revocation) -> None:
        """Revoke here, in the store, and on all instances.

        Raises TooManyRevocationsError, and BrokerUnavailableError when it holds here but perhaps not
        elsewhere: then it may be repeated, and the others are told when the store is back.
        """
        self.check_room(revocation)
        self.apply(revocation)
        await self._tell(self._untold.add(revocation) or revocation)

    async def _tell(self, revocation: Revocation) -> None:
        await self._broker.revoke(revocation)
        if self._broker.coordinator is not None:
            data, time_ms = encode_command(Revoke(revocation)), self._wall_ms()
            await self._broker.publish(CHANNEL, EVENT, data, key=None, time_ms=time_ms)
        self._untold.discard(revocation)

    def apply(self, revocation: Revocation) -> None:
        """Carry out a revocation here."""
        if self._revoked.has(revocation):
            return
        if self._revoked.add(revocation):
            self._enforce(revocation)
        elif self._wall_ms() - self._refused_ms >= SAY_AGAIN_MS:
            self._refused_ms = self._wall_ms()
            _log.error(
                "more than %d revocations: some from other instances or the store are not kept", MAX_LISTED
            )

    def misses_before(self, position: Position) -> bool:
        """Take note that a command came; return whether some before it will not: then `reannounce`.

        The log keeps so many commands, and no longer than a time.
        """
        before = self._commands_at
        if before is not None and before.epoch == position.epoch:
            self._commands_at = max(before, position)
            return position.offset > before.offset + 1
        self._commands_at = position
        return before is not None

    async def read(self) -> None:
        """Read the list from the store, and put back what is not in it. Raises BrokerUnavailableError."""
        if self._broker.coordinator is not None:
            page = await self._broker.history(CHANNEL, since=None, limit=0)  # from here on all commands come
            self._commands_at = self._commands_at or page.top
        stored: dict[tuple[RevocationKind, str], Revocation] = {}
        for batch in batched(await self._broker.revocations(), AT_ONCE):
            for revocation in batch:
                self.apply(revocation)
                stored[revocation.about] = revocation
            await asyncio.sleep(0)
        self._revoked.known = True
        for batch in batched(self._untold, AT_ONCE):
            await asyncio.gather(*map(self._tell, batch))
            stored |= {revocation.about: revocation for revocation in batch}
        for batch in batched(self._revoked, AT_ONCE):
            forgotten = [
                revocation
                for revocation in batch
                if (one := stored.get(revocation.about)) is None or not one.includes(revocation)
            ]
            await asyncio.gather(*map(self._broker.revoke, forgotten))
            await asyncio.sleep(0)

    async def reannounce(self) -> None:
        """Read again, unless the store is away: then there is a next time."""
        with suppress(BrokerUnavailableError):
            await self.read()

    async def first_read(self) -> bool:
        """Read for the first time, within a moment; return whether that succeeded."""
        try:
            async with asyncio.timeout(FIRST_READ_S):
                await self.read()
        except (BrokerUnavailableError, TimeoutError):
            return False
        return True

    async def read_until_known(self) -> None:
        """Read as soon as the store can be read."""
        while not self._revoked.known:
            await asyncio.sleep(RETRY_S)
            await self.reannounce()
