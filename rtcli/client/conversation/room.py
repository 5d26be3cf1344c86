"""One room of a client: what was delivered of it, and the texts that are not in the log yet. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from rtcli.client.events import Acked, ClientEvent, ConnectionWarning, Gap, Joined, Message
from rtcli.protocol.codes import GapReason
from rtcli.protocol.messages.server import GapData, NewMessageData, RoomJoinedData, SkippedData
from rtcli.protocol.position import InvalidPositionError, Position, lost_between, parse_position, skipped


@dataclass
class Text:
    """A text on its way: kept until it is acknowledged or rejected."""

    id: str
    content: str
    in_flight: bool = False


def read_position(text: str) -> Position | None:
    """Parse a position of the server; None if it is invalid."""
    try:
        return parse_position(text)
    except InvalidPositionError:
        return None


def hole_before(room: str, lost: int, before: Position | None, position: Position) -> Gap:
    """The gap of publications that the server has not sent, between two that it has."""
    return Gap(room, lost, "not_sent", before, Position(position.epoch, position.offset - 1))


@dataclass
class Room:
    """A room that the user of the client has asked to join.

    It is `held` while its user is behind: what comes is left in the server's log, and read from there once
    the user goes on (`reread`).
    """

    name: str
    history: int
    joined: bool = False
    ever_joined: bool = False
    join_id: str = ""
    last_delivered: Position | None = None  # of the last publication that was handed out
    top: Position | None = None  # end of the log when we joined
    wait_until: float | None = None  # the server asked us to wait until then
    held: bool = False
    seen: Position | None = None  # while it is held: of the last publication that came, and was left out
    rereading: bool = False  # the join that ends the hold is on its way
    texts: deque[Text] = field(default_factory=deque)

    @property
    def caught_up(self) -> bool:
        """Whether everything that was in the log when we joined has come; held, it is not delivered."""
        seen = self.seen if self.held else self.last_delivered
        if self.top is None or seen is None or self.top.epoch != seen.epoch:
            return True
        return seen.offset >= self.top.offset

    def lost(self) -> None:
        """The connection is lost; texts in flight may or may not have arrived."""
        self.joined = False
        self.wait_until = None
        for text in self.texts:
            text.in_flight = False

    def add(self, identifier: str, content: str) -> None:
        """Add a text, which is kept until it is in the log."""
        self.texts.append(Text(identifier, content))

    def take_next(self) -> Text | None:
        """The text to send now, marked as in flight; None when there is none or it has to wait."""
        ready = self.joined and self.caught_up and self.wait_until is None
        if not ready or not self.texts or self.texts[0].in_flight:
            return None
        self.texts[0].in_flight = True
        return self.texts[0]

    def find(self, identifier: str | None) -> Text | None:
        """The unacknowledged text with this id, if there is one."""
        return next((text for text in self.texts if text.id == identifier), None)

    def acknowledge(
        self, identifier: str | None, position: Position, *, duplicate: bool
    ) -> list[ClientEvent]:
        """A text is in the log. If its own publication has acknowledged it already, nothing is returned."""
        text = self.find(identifier)
        if text is None:
            return []
        self.texts.remove(text)
        return [Acked(text.id, self.name, position, duplicate)]

    def on_joined(self, data: RoomJoinedData) -> list[ClientEvent]:
        """The room is joined. After a reconnection, reports what could not be resumed."""
        again, since, top = self.ever_joined, self.last_delivered, read_position(data.position)
        if self.rereading:
            self.held = self.rereading = False
        self.seen = since
        self.joined = self.ever_joined = True
        self.top = top
        members = [(member.user_id, member.name) for member in data.members]
        joined = Joined(self.name, members, data.member_count, top, again, data.replayed)
        if since is not None and data.recovered:
            return [joined]
        if top is not None:
            self.last_delivered = Position(top.epoch, max(0, top.offset - data.replayed))
        if since is None:
            return [joined]
        reason = data.reason or GapReason.INVALID
        return [joined, Gap(self.name, lost_between(since, top), reason, since, self.last_delivered)]

    def on_message(self, data: NewMessageData, *, own: bool) -> list[ClientEvent]:
        """Deliver a publication once and in order, whatever the server sends."""
        position = Position(data.epoch, data.offset)
        if self.held:
            self.seen = position
            return self.acknowledge(data.id, position, duplicate=False)
        before = self.last_delivered
        hole = skipped(before, position)
        if hole < 0:
            text = f"the server sent {position} of #{self.name} again; it was left out"
            return [ConnectionWarning("repeated", text)]
        events: list[ClientEvent] = [hole_before(self.name, hole, before, position)] if hole else []
        self.last_delivered = position
        history = not own and self._is_history(position)
        events.append(
            Message(
                self.name, data.content, data.sender_id, data.sender_name, data.timestamp, data.id,
                position, history, own,
            )
        )  # fmt: skip
        return events + self.acknowledge(data.id, position, duplicate=False)

    def _is_history(self, position: Position) -> bool:
        return (
            self.top is not None and self.top.epoch == position.epoch and position.offset <= self.top.offset
        )

    def on_skipped(self, data: SkippedData) -> list[ClientEvent]:
        """A publication is not for this client: go on behind it."""
        before, position = self.last_delivered, Position(data.epoch, data.offset)
        if self.held:
            self.seen = position
            return []
        hole = skipped(before, position)
        if hole >= 0:
            self.last_delivered = position
        return [hole_before(self.name, hole, before, position)] if hole > 0 else []

    def on_gap(self, data: GapData) -> list[ClientEvent]:
        """Publications are lost, says the server: continue behind them."""
        after, to = read_position(data.from_), read_position(data.to)
        if self.held:  # what is read from the log later begins before it
            self.seen = to or self.seen
            return []
        if to is not None:
            self.last_delivered = to
        return [Gap(self.name, data.lost, data.reason, after, to)]
