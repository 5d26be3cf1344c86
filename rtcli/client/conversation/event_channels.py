"""A client's personal and broadcast events: up to where they were delivered, over all connections. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rtcli.client.conversation.room import hole_before, read_position
from rtcli.client.events import ClientEvent, ConnectionWarning, Event, Gap
from rtcli.protocol.codes import GapReason
from rtcli.protocol.messages.server import ConnectedData, EventData, GapData, SkippedData
from rtcli.protocol.position import (
    BROADCAST,
    USER_PREFIX,
    InvalidPositionError,
    Position,
    cursor_key,
    lost_between,
    parse_cursor,
    skipped,
)

USER = f"{USER_PREFIX}~"  # the channel of the token's user, whose id a client need not know
_CHANNELS = {cursor_key(channel): channel for channel in (USER, BROADCAST)}


def read_cursor(text: str) -> dict[str, Position]:
    """The positions of a cursor by channel; none for one that is empty or cannot be read."""
    try:
        return parse_cursor(text, user_channel=USER) if text else {}
    except InvalidPositionError:
        return {}


class EventChannels:
    """Each event of either channel is delivered once and in order, or reported as missed.

    While they are `held`, what comes is left in the server's log: the next connection has it.
    """

    def __init__(self, positions: Mapping[str, Position]) -> None:
        self.positions = {
            channel: positions[channel] for channel in (USER, BROADCAST) if channel in positions
        }
        self.following = 0  # events that the greeting of this connection promised
        self.held = False

    def on_greeting(self, data: ConnectedData) -> list[ClientEvent]:
        """Begin where the greeting says; report what could not be resumed."""
        self.held = False
        starts = read_cursor(data.cursor or "")
        missed: list[ClientEvent] = []
        self.following = 0
        for key, state in (data.channels or {}).items():
            channel, top = _CHANNELS.get(key), read_position(state.position)
            if channel is None or top is None:
                continue
            since = self.positions.get(channel)
            if since is not None and state.recovered:
                self.following += lost_between(since, top) or 0
                continue
            self.positions[channel] = starts.get(channel, top)
            if since is not None:
                reason = state.reason or GapReason.INVALID
                missed.append(Gap(key, lost_between(since, top), reason, since, self.positions[channel]))
        return missed

    def on_event(self, data: EventData) -> list[ClientEvent]:
        """Deliver an event once and in order, whatever the server sends."""
        if self.held:
            return []
        channel = BROADCAST if data.channel == BROADCAST else USER
        key, position = cursor_key(channel), Position(data.epoch, data.offset)
        before = self.positions.get(channel)
        hole = skipped(before, position)
        if hole < 0:
            return [ConnectionWarning("repeated", f"the server sent {key} {position} again; it was left out")]
        self.positions[channel] = position
        event = Event(data.event, data.data, data.channel, position)
        return [hole_before(key, hole, before, position), event] if hole else [event]

    def on_other(self, data: object) -> list[ClientEvent]:
        """A gap in events, or an event that is not for this client; all else is about rooms we are not in."""
        if isinstance(data, GapData):
            return self._on_gap(data)
        return self._on_skipped(data) if isinstance(data, SkippedData) else []

    def _on_skipped(self, data: SkippedData) -> list[ClientEvent]:
        channel, position = _CHANNELS.get(data.room), Position(data.epoch, data.offset)
        if channel is None or self.held:
            return []
        before = self.positions.get(channel)
        hole = skipped(before, position)
        if hole >= 0:
            self.positions[channel] = position
        return [hole_before(data.room, hole, before, position)] if hole > 0 else []

    def _on_gap(self, data: GapData) -> list[ClientEvent]:
        channel, to = _CHANNELS.get(data.room), read_position(data.to)
        if channel is None or self.held:
            return []
        if to is not None:
            self.positions[channel] = to
        return [Gap(data.room, data.lost, data.reason, read_position(data.from_), to)]
