"""Publishing over HTTP: into the log, once, within a time; no web framework here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from rtcli.protocol.codes import UNAVAILABLE_RETRY_MS, ErrorCode
from rtcli.protocol.messages import user_id_to_wire
from rtcli.protocol.position import BROADCAST, ROOM_PREFIX, USER_PREFIX, Position
from rtcli.protocol.publication import (
    NEW_MESSAGE,
    Publication,
    chat_data,
    idempotency_key,
    is_valid_event_name,
)
from rtcli.protocol.rooms import is_valid_room
from rtcli.protocol.tokens import is_valid_user_id
from rtcli_server.auth.claims import Principal
from rtcli_server.broker import Broker, BrokerUnavailableError, Published
from rtcli_server.metrics.registry import Metrics
from rtcli_server.problems import ProblemError
from rtcli_server.timing.clock import Clock

MAX_DATA_BYTES = 65_536
_decode = msgspec.json.Decoder().decode


class Started(NamedTuple):
    """A publication on its way. `is_same` tells whether what stands in the log under its id is the same."""

    channel: str
    future: asyncio.Future[Published]
    is_same: Callable[[Publication], bool]


class Receipt(NamedTuple):
    """Where a publication stands."""

    channel: str
    position: Position
    duplicate: bool


class Publisher:
    """Publishes for a principal, with its rights. Everything raises ProblemError.

    To publish several in order, start them all, then finish them all.
    """

    def __init__(self, broker: Broker, clock: Clock, metrics: Metrics, *, timeout_s: float) -> None:
        self._broker = broker
        self._metrics = metrics
        self._clock = clock
        self._timeout_s = timeout_s

    def start_message(self, principal: Principal, room: str, content: str, id_: str | None) -> Started:
        """Put a chat message into a room's log."""
        check_room(room)
        if not principal.can_publish(room):
            raise ProblemError(403)
        data = chat_data(
            room=room,
            content=content,
            sender_id=user_id_to_wire(principal.user_id),
            sender_name=principal.name,
            timestamp=self._clock.timestamp(),
            id=id_,
        )
        return self._start(
            ROOM_PREFIX + room,
            NEW_MESSAGE,
            data,
            key=_key(principal, id_),
            is_same=lambda publication: _decode(publication.data)["content"] == content,
        )

    def start_event(
        self, principal: Principal, user_id: str | None, event: str, data: Mapping[str, Any], id_: str | None
    ) -> Started:
        """Put an event into the log of one user, or of everyone (`user_id` None)."""
        if not principal.can_publish_events:
            raise ProblemError(403)
        if user_id is not None and not is_valid_user_id(user_id):
            raise ProblemError(400, ErrorCode.INVALID_MESSAGE, "Not a user id")
        if not is_valid_event_name(event):
            raise ProblemError(400, ErrorCode.INVALID_MESSAGE, "Not a name for an event")
        # Not msgspec: integers may have any size in JSON.
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        if len(text) > MAX_DATA_BYTES:  # a batch may be larger than that
            raise ProblemError(413, detail="The data is too long")
        return self._start(
            BROADCAST if user_id is None else USER_PREFIX + user_id,
            event,
            text,
            key=_key(principal, id_),
            is_same=lambda found: found.event == event and json.loads(found.data) == data,
        )

    def _start(
        self,
        channel: str,
        event: str,
        data: bytes,
        *,
        key: str | None,
        is_same: Callable[[Publication], bool],
    ) -> Started:
        future = self._broker.publish(channel, event, data, key=key, time_ms=self._clock.wall_ms())
        # This also looks at the exception of one that nobody waits for any more.
        future.add_done_callback(self._metrics.count)
        return Started(channel, future, is_same)

    async def finish(self, started: Started) -> Receipt:
        """Wait until it is in the log. Raises ProblemError: 503 when it is not, or not in time; 409."""
        try:
            async with asyncio.timeout(self._timeout_s):
                published = await asyncio.shield(started.future)
                if published.duplicate:
                    await self._compare(started, published.position)
        except TimeoutError:
            detail = "The log did not answer in time: repeat it with the same id"
            raise ProblemError(503, detail=detail, retry_after_ms=UNAVAILABLE_RETRY_MS) from None
        except BrokerUnavailableError:
            raise ProblemError(503, retry_after_ms=UNAVAILABLE_RETRY_MS) from None
        return Receipt(started.channel, *published)

    async def _compare(self, started: Started, position: Position) -> None:
        """Find out whether an id was used twice for different things. What was trimmed counts as the same."""
        before = Position(position.epoch, position.offset - 1)
        page = await self._broker.history(started.channel, since=before, limit=1)
        found = [publication for publication in page.publications if publication.offset == position.offset]
        if found and not started.is_same(found[0]):
            raise ProblemError(409, "conflict", "This id was used for something else")


def _key(principal: Principal, id_: str | None) -> str | None:
    # The same as over WebSocket: one id counts once, whichever way it came.
    return None if id_ is None else idempotency_key(principal.user_id, id_)


def check_room(room: str) -> None:
    """Raise ProblemError (400) unless `room` may be the name of a room."""
    if not is_valid_room(room):
        raise ProblemError(400, ErrorCode.INVALID_ROOM)
