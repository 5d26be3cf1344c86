"""Publishing over HTTP: into the log, once, within a time limit. No web framework here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from rtcli.protocol.codes import UNAVAILABLE_RETRY_MS, ErrorCode, unavailable_text
from rtcli.protocol.exclusion import Exclusion, InvalidExclusionError, is_connection_id, new_exclusion
from rtcli.protocol.messages import user_id_to_wire
from rtcli.protocol.position import BROADCAST, ROOM_PREFIX, USER_PREFIX, Position
from rtcli.protocol.publication import (
    Publication,
    idempotency_key,
    is_valid_event_name,
)
from rtcli.protocol.rooms import room_of
from rtcli.protocol.tokens import is_valid_user_id
from rtcli_server.api.models import ExcludeIn
from rtcli_server.api.services import ApiServices
from rtcli_server.auth.claims import Principal
from rtcli_server.broker import BrokerUnavailableError, Published
from rtcli_server.broker.chat import publish_message
from rtcli_server.problems import ProblemError
from rtcli_server.realtime.audience import NOBODY, Queued

MAX_DATA_BYTES = 65_536
MAYBE_SENT = "Not confirmed: it may have been sent"
_decode = msgspec.json.Decoder().decode


class Started(NamedTuple):
    """A publication on its way to the log. `is_same` compares it with what the log has under its id."""

    channel: str
    exclude: Exclusion | None
    future: asyncio.Future[Published]
    has_id: bool
    is_same: Callable[[Publication], bool]

    @property
    def is_published(self) -> bool:
        """Whether it is known to be in the log."""
        return self.future.done() and not self.future.cancelled() and self.future.exception() is None


class StartedDirect(NamedTuple):
    """An event on its way to one connection; a future for one on another instance."""

    told: Queued | asyncio.Future[Published]


class Receipt(NamedTuple):
    """The position of a publication in its log; `duplicate` when it was published before.

    `queued`: to how many connections; a duplicate is queued to none.
    """

    channel: str
    position: Position
    duplicate: bool
    queued: Queued


class Publisher:
    """Publishes for a principal, with its rights.

    To publish several in order, start all of them, then finish all of them.
    """

    def __init__(self, services: ApiServices, *, timeout_s: float) -> None:
        self._broker = services.broker
        self._metrics = services.metrics
        self._clock = services.clock
        self._audience = services.audience
        self._tell = services.commands.tell
        # A hook may give a repeat another content than it gave the first: then they cannot be compared.
        self._rewrites = services.gate is not None and "publish" in services.gate.implemented
        self._timeout_s = timeout_s

    def start_message(
        self,
        principal: Principal,
        room: str,
        content: str,
        message_id: str | None,
        *,
        exclude: ExcludeIn | None = None,
    ) -> Started:
        """Start to publish a chat message in a room. Raises ProblemError: 400 or 403."""
        room = checked_room(room)
        if not principal.can_publish(room):
            raise ProblemError(403)
        excluded = _checked_exclusion(principal, exclude)
        future = publish_message(
            self._broker,
            self._clock,
            room=room,
            content=content,
            user_id=principal.user_id,
            wire_id=user_id_to_wire(principal.user_id),
            name=principal.name,
            message_id=message_id,
            exclude=excluded,
        )
        return self._started(
            Started(
                ROOM_PREFIX + room,
                excluded,
                future,
                message_id is not None,
                lambda found: self._rewrites or _decode(found.data)["content"] == content,
            )
        )

    def start_event(
        self,
        principal: Principal,
        user_id: str | None,
        event: str,
        data: Mapping[str, Any],
        event_id: str | None,
        *,
        exclude: ExcludeIn | None = None,
    ) -> Started:
        """Start to publish an event to one user, or to all (`user_id` None).

        Raises ProblemError: 400, 403 or 413.
        """
        _check_event(principal, event)
        if user_id is not None and not is_valid_user_id(user_id):
            raise ProblemError(400, ErrorCode.INVALID_MESSAGE, "Not a user id")
        excluded = _checked_exclusion(principal, exclude)
        text = _encoded(data)
        channel = BROADCAST if user_id is None else USER_PREFIX + user_id
        # The same key as over WebSocket: an id counts once, whichever way it came in.
        key = None if event_id is None else idempotency_key(principal.user_id, event_id)
        future = self._broker.publish(
            channel, event, text, key=key, time_ms=self._clock.wall_ms(), exclude=excluded
        )
        return self._started(
            Started(
                channel,
                excluded,
                future,
                event_id is not None,
                lambda found: found.event == event and json.loads(found.data) == data,
            )
        )

    def _started(self, started: Started) -> Started:
        # The callback also retrieves the exception of a future that nobody awaits any more.
        started.future.add_done_callback(self._metrics.count)
        return started

    async def finish(self, started: Started) -> Receipt:
        """Wait until the publication is in the log, and return its position.

        Raises ProblemError: 503 when it is not in the log, or not confirmed in time; 409 when its id was used
        for another one.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                published = await asyncio.shield(started.future)
                if published.duplicate:
                    await self._compare(started, published.position)
        except TimeoutError:
            raise _unavailable(started, maybe_published=True) from None
        except BrokerUnavailableError as error:
            maybe = error.maybe_published or started.is_published  # a repeat that could not be compared
            raise _unavailable(started, maybe_published=maybe) from None
        queued = NOBODY if published.duplicate else self._audience.of(started.channel, started.exclude)
        return Receipt(started.channel, *published, queued)

    def start_direct(
        self, principal: Principal, connection_id: str, event: str, data: Mapping[str, Any]
    ) -> StartedDirect | None:
        """Start to send an event to one connection; None when there is no such connection.

        It is in no log, and dropped by a client that is slow. Raises ProblemError: 400, 403 or 413.
        """
        _check_event(principal, event)
        told = self._tell(connection_id, event, _encoded(data))
        if isinstance(told, asyncio.Future):
            told.add_done_callback(_retrieved)
        return None if told is None else StartedDirect(told)

    async def finish_direct(self, started: StartedDirect) -> Queued:
        """Wait until its instance will get it. Raises ProblemError (503) when that could not be reached."""
        if isinstance(started.told, Queued):
            return started.told
        try:
            async with asyncio.timeout(self._timeout_s):
                await started.told
        except (TimeoutError, BrokerUnavailableError) as error:
            unsent = isinstance(error, BrokerUnavailableError) and not error.maybe_published
            detail = "Its instance cannot be reached now; nothing was sent" if unsent else MAYBE_SENT
            raise ProblemError(503, detail=detail, retry_after_ms=UNAVAILABLE_RETRY_MS) from None
        return Queued(0, None)

    async def _compare(self, started: Started, position: Position) -> None:
        """Raise ProblemError (409) when the id was used for another one. What was trimmed counts as equal."""
        before = Position(position.epoch, position.offset - 1)
        page = await self._broker.history(started.channel, since=before, limit=1)
        found = [publication for publication in page.publications if publication.offset == position.offset]
        if found and not (started.is_same(found[0]) and found[0].exclude == started.exclude):
            raise ProblemError(409, "conflict", "This id was used for something else")


def _retrieved(future: asyncio.Future[Published]) -> None:
    """Retrieve the exception of a future that perhaps nobody awaits any more: asyncio would log it."""
    if not future.cancelled():
        future.exception()


def _unavailable(started: Started, *, maybe_published: bool) -> ProblemError:
    detail = unavailable_text(maybe_published=maybe_published, has_id=started.has_id)
    return ProblemError(503, detail=detail, retry_after_ms=UNAVAILABLE_RETRY_MS)


def _checked_exclusion(principal: Principal, exclude: ExcludeIn | None) -> Exclusion | None:
    """Check whom a publication excludes. Raises ProblemError: 400 or 403."""
    if exclude is None:
        return None
    if not principal.can_publish_events:  # members must not hide from each other what they say
        raise ProblemError(403, detail="To exclude somebody needs the scope publish")
    users = [str(user) for user in exclude.users]
    if not all(map(is_valid_user_id, users)):
        raise ProblemError(400, ErrorCode.INVALID_MESSAGE, "Not a user id")
    if not all(map(is_connection_id, exclude.connections)):
        raise ProblemError(400, ErrorCode.INVALID_MESSAGE, "Not the id of a connection")
    try:
        return new_exclusion(users, exclude.connections)
    except InvalidExclusionError as error:
        raise ProblemError(400, ErrorCode.INVALID_MESSAGE, str(error)) from None


def _check_event(principal: Principal, event: str) -> None:
    if not principal.can_publish_events:
        raise ProblemError(403)
    if not is_valid_event_name(event):
        raise ProblemError(400, ErrorCode.INVALID_MESSAGE, "Not a name for an event")


def _encoded(data: Mapping[str, Any]) -> bytes:
    """Encode what an event carries. Raises ProblemError (413)."""
    # Not msgspec, which limits integers: in JSON they may have any size.
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    if len(text) > MAX_DATA_BYTES:  # a batch may be larger than that
        raise ProblemError(413, detail="The data is too long")
    return text


def checked_room(spelling: str) -> str:
    """Return the name in NFC of the room that a request names. Raises ProblemError (400) if there is none."""
    room = room_of(spelling)
    if room is None:
        raise ProblemError(400, ErrorCode.INVALID_ROOM)
    return room
