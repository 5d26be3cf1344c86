"""The position of an rtcli stream: reads its `ready`, its gaps and its cursors. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from rtcli.apps.tail.render import ReceivedEvent
from rtcli.protocol.position import InvalidPositionError, Position, lost_between, parse_cursor, parse_position

_USER = "user:~"  # the channel of the token's user, whose id a client need not know
_OWN_NAMES = {"~me": "your events", "~all": "broadcasts"}


@dataclass(frozen=True)
class GapRecord:
    """Events that cannot be delivered."""

    channel: str  # the room, or a name for the user's own events and broadcasts
    is_room: bool
    start: str | None
    end: str | None
    lost: int | None  # their number, if it is known
    reason: str

    def record(self, timestamp: str) -> dict[str, object]:
        """The gap as a record of `--json`."""
        where = {"room": self.channel} if self.is_room else {"channel": self.channel}
        facts = {"from": self.start, "to": self.end, "lost": self.lost, "reason": self.reason}
        return {"type": "gap", "ts": timestamp, **where, **facts}

    def __str__(self) -> str:
        """The gap in words."""
        where = f"#{self.channel}" if self.is_room else self.channel
        lost = "an unknown number of" if self.lost is None else str(self.lost)
        return f"gap in {where}: {lost} events will not come ({self.reason})"


@dataclass(frozen=True)
class Ready:
    """The content of `ready`, the first event of a connection."""

    tops: Mapping[str, Position]  # by channel: the end of what is replayed
    replayed: int  # number of older events that follow
    gaps: list[GapRecord]


class DuplicateFilter:
    """Knows how far the stream has come, so that no event is shown twice whatever the server sends."""

    def __init__(self) -> None:
        self._at: dict[str, Position] = {}

    def is_new(self, cursor: str) -> bool:
        """Whether the event with this id is ahead in one of its channels; if so, remember its position."""
        at = positions(cursor)
        moved = not at or any(_is_behind(self._at.get(channel), place) for channel, place in at.items())
        if moved:
            self._at = at
        return moved


def _is_behind(before: Position | None, place: Position) -> bool:
    return before is None or before.epoch != place.epoch or before.offset < place.offset


def positions(cursor: str) -> dict[str, Position]:
    """The positions in a cursor by channel; none for an invalid one."""
    try:
        return parse_cursor(cursor, user_channel=_USER)
    except InvalidPositionError:
        return {}


def reached(cursor: str, tops: Mapping[str, Position]) -> bool:
    """Whether a stream whose last event had the id `cursor` has reached `tops`."""
    at = positions(cursor)
    return all(
        channel in at and (at[channel].epoch != top.epoch or at[channel].offset >= top.offset)
        for channel, top in tops.items()
    )


def read_ready(seen: ReceivedEvent, last_id: str) -> Ready:
    """Read a `ready` event. `last_id` is the id that we asked to resume from."""
    start, asked = positions(seen.event.id), positions(last_id)
    channels = seen.fields.get("channels")
    tops: dict[str, Position] = {}
    replayed, gaps = 0, []
    for key, state in channels.items() if isinstance(channels, dict) else ():
        top = _position(state)
        channel = _channel(key)
        if top is None:
            continue
        tops[channel] = top
        if channel in start and start[channel].epoch == top.epoch:
            replayed += max(0, top.offset - start[channel].offset)
        if state.get("recovered") is False:
            gaps.append(_gap(key, asked.get(channel), top, str(state.get("reason"))))
    return Ready(tops, replayed, gaps)


def read_gap(seen: ReceivedEvent) -> GapRecord:
    """Read a `gap` event."""
    fields, name = seen.fields, seen.room or "?"
    lost, start, end = fields.get("lost"), fields.get("from"), fields.get("to")
    return GapRecord(
        _OWN_NAMES.get(name, name),
        seen.room is not None and name not in _OWN_NAMES,
        start if isinstance(start, str) else None,
        end if isinstance(end, str) else None,
        lost if isinstance(lost, int) else None,
        str(fields.get("reason")),
    )


def _gap(key: str, since: Position | None, top: Position, reason: str) -> GapRecord:
    lost, start = lost_between(since, top), None if since is None else str(since)
    return GapRecord(_OWN_NAMES.get(key, unquote(key)), key not in _OWN_NAMES, start, str(top), lost, reason)


def _channel(key: str) -> str:
    return next(iter(positions(f"{key}=aaaa-0")), key)


def _position(state: object) -> Position | None:
    try:
        return parse_position(str(state["position"])) if isinstance(state, dict) else None
    except (KeyError, InvalidPositionError):
        return None
