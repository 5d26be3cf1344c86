"""What the events of a stream mean: an rtcli server also tells where it is, and what is missing. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec

from rtcli.client.events import ConnectionWarning, Gap, Lost
from rtcli.protocol.position import (
    USER_PREFIX,
    InvalidPositionError,
    Position,
    lost_between,
    parse_cursor,
    parse_position,
)
from rtcli.protocol.publication import DIRECT, SKIPPED
from rtcli.protocol.sse import ServerSentEvent

_USER = f"{USER_PREFIX}~"  # the channel of the token's user, whose id a client need not know
_ABOUT_STREAM = frozenset({"ready", "heartbeat", "closing", "error", "gap", SKIPPED})
_DONE = "[DONE]"  # the last event of many answers of language models; nothing comes after it


@dataclass(frozen=True)
class StreamEvent:
    """An event of a stream. `id` is what to resume after it with: its own, or that of an earlier event."""

    event: str
    data: str
    id: str
    about_stream: bool = False  # `ready`, `heartbeat`, `closing` and the like, or `[DONE]`
    gap: Gap | None = None  # what is missing before it: set by what gives events alone

    def json(self) -> Any:  # noqa: ANN401 - whatever was published
        """Decode the data. Raises ValueError when it is not JSON."""
        return json.loads(self.data)


@dataclass(frozen=True)
class Opened:
    """The stream is open. `away_s` is how long it was lost, None the first time."""

    last_event_id: str  # what to resume with when no event comes
    resumes: bool  # it goes on after an event
    away_s: float | None
    caught_up: int  # older events that follow, as far as the server says so


@dataclass(frozen=True)
class CaughtUp:
    """All that an rtcli server had when the stream was opened has been delivered."""


StreamUpdate = StreamEvent | Opened | Lost | Gap | CaughtUp | ConnectionWarning


def channel_of(event: StreamEvent) -> str:
    """The room of an event, `~me` or `~all`: what comes first in its id (protocol.md, section 6)."""
    return unquote(event.id.partition("=")[0])


def of_other_servers(event: ServerSentEvent) -> StreamEvent:
    """The event of a stream that is not an rtcli server's."""
    return StreamEvent(event.event, event.data, event.id, about_stream=event.data == _DONE)


class StreamReading:
    """Reads the events of an rtcli stream.

    Each event is told once: one that does not move the stream on in any channel was there before.
    """

    def __init__(self, last_event_id: str) -> None:
        self._asked = last_event_id
        self._away_s: float | None = None
        self._at: dict[str, Position] = {}
        self._tops: dict[str, Position] = {}
        self._catching_up = False

    def opened(self, last_event_id: str, away_s: float | None) -> None:
        """The stream is open: `ready` follows, with more details."""
        self._asked, self._away_s = last_event_id, away_s

    def read(self, event: ServerSentEvent) -> Iterator[StreamUpdate]:
        """Yield what the event means, and the event itself, if it is new."""
        about_stream = event.event in _ABOUT_STREAM
        numbered = not about_stream and event.event != DIRECT
        if numbered and not self._is_new(event.id):
            yield ConnectionWarning("repeated", f"the server sent {event.id} again; it was left out")
            return
        if event.event == "ready":
            yield from self._on_ready(event)
        elif event.event == "gap":
            yield _read_gap(_fields(event))
        yield StreamEvent(event.event, event.data, event.id, about_stream)
        if self._catching_up and _reached(event.id, self._tops):
            self._catching_up = False
            yield CaughtUp()

    def _is_new(self, cursor: str) -> bool:
        at = positions(cursor)
        moved = not at or any(_is_behind(self._at.get(channel), place) for channel, place in at.items())
        if moved:
            self._at = at
        return moved

    def _on_ready(self, event: ServerSentEvent) -> Iterator[StreamUpdate]:
        start, asked = positions(event.id), positions(self._asked)
        channels = _fields(event).get("channels")
        self._tops, self._catching_up = {}, True
        caught_up, gaps = 0, []
        for key, state in channels.items() if isinstance(channels, dict) else ():
            top, channel = _position(state), _channel(key)
            if top is None:
                continue
            self._tops[channel] = top
            first = start.get(channel)
            if first is not None and first.epoch == top.epoch:
                caught_up += max(0, top.offset - first.offset)
            if state.get("recovered") is False:
                since = asked.get(channel)
                lost, reason = lost_between(since, top), str(state.get("reason"))
                gaps.append(Gap(unquote(key), lost, reason, since, top))
        yield Opened(event.id, bool(self._asked), self._away_s, caught_up)
        yield from gaps


def positions(cursor: str) -> dict[str, Position]:
    """The positions in a cursor by channel; none for an invalid one."""
    try:
        return parse_cursor(cursor, user_channel=_USER)
    except InvalidPositionError:
        return {}


def _is_behind(before: Position | None, place: Position) -> bool:
    return before is None or before.epoch != place.epoch or before.offset < place.offset


def _reached(cursor: str, tops: Mapping[str, Position]) -> bool:
    """Whether a stream whose last event had the id `cursor` has reached `tops`."""
    at = positions(cursor)
    return all(
        channel in at and (at[channel].epoch != top.epoch or at[channel].offset >= top.offset)
        for channel, top in tops.items()
    )


def _read_gap(fields: Mapping[str, object]) -> Gap:
    room, lost = fields.get("room"), fields.get("lost")
    return Gap(
        room if isinstance(room, str) else "?",
        lost if isinstance(lost, int) else None,
        str(fields.get("reason")),
        _position({"position": fields.get("from")}),
        _position({"position": fields.get("to")}),
    )


def _fields(event: ServerSentEvent) -> Mapping[str, object]:
    """The data if it is a JSON object, else empty."""
    try:
        data = msgspec.json.decode(event.data)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _channel(key: str) -> str:
    return next(iter(positions(f"{key}=aaaa-0")), key)


def _position(state: object) -> Position | None:
    try:
        return parse_position(str(state["position"])) if isinstance(state, dict) else None
    except (KeyError, InvalidPositionError):
        return None
