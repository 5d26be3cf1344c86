"""One room as a client sees it: what was told of it, and its texts that are not in the log yet. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from rtcli.client.events import Acked, ClientEvent, Joined, Message, Missed, Trouble
from rtcli.protocol.codes import GapReason
from rtcli.protocol.messages.server import GapData, NewMessageData, RoomJoinedData
from rtcli.protocol.position import InvalidPositionError, Position, parse_position


@dataclass
class Text:
    """A text on its way: kept until it is acknowledged or rejected."""

    id: str
    content: str
    in_flight: bool = False


def read_position(text: str) -> Position | None:
    """A position as the server wrote it; None for one that cannot be read."""
    try:
        return parse_position(text)
    except InvalidPositionError:
        return None


@dataclass
class Room:
    """A room that its user wants to be in."""

    name: str
    history: int
    joined: bool = False
    ever_joined: bool = False
    join_id: str = ""
    told: Position | None = None  # of the last publication that was told
    top: Position | None = None  # of the log, when we joined
    wait_until: float | None = None  # the server asked not to come sooner
    texts: deque[Text] = field(default_factory=deque)

    @property
    def caught_up(self) -> bool:
        """Whether everything up to the moment of joining was told."""
        if self.top is None or self.told is None or self.top.epoch != self.told.epoch:
            return True
        return self.told.offset >= self.top.offset

    def lost(self) -> None:
        """The connection is gone; what was in flight may or may not have arrived."""
        self.joined = False
        self.wait_until = None
        for text in self.texts:
            text.in_flight = False

    def add(self, identifier: str, content: str) -> None:
        """Keep a text until it is in the log."""
        self.texts.append(Text(identifier, content))

    def take_next(self) -> Text | None:
        """The text to send now, marked as in flight; None when there is none or it is not yet time."""
        ready = self.joined and self.caught_up and self.wait_until is None
        if not ready or not self.texts or self.texts[0].in_flight:
            return None
        self.texts[0].in_flight = True
        return self.texts[0]

    def find(self, identifier: str | None) -> Text | None:
        """The text with this id, if it is still on its way."""
        return next((text for text in self.texts if text.id == identifier), None)

    def acknowledge(
        self, identifier: str | None, position: Position | None, *, duplicate: bool
    ) -> list[ClientEvent]:
        """A text is in the log. What was told already (by its own publication) is not told again."""
        text = self.find(identifier)
        if text is None:
            return []
        self.texts.remove(text)
        return [Acked(text.id, self.name, position, duplicate)]

    def on_joined(self, data: RoomJoinedData) -> list[ClientEvent]:
        """We are in. Says what will not come, from the position that we asked to resume from."""
        again, since, top = self.ever_joined, self.told, read_position(data.position)
        self.joined = self.ever_joined = True
        self.top = top
        members = [(member.user_id, member.name) for member in data.members]
        joined = Joined(self.name, members, data.member_count, top, again, data.replayed)
        if again and data.recovered and since is not None:
            return [joined]
        if top is not None:
            self.told = Position(top.epoch, max(0, top.offset - data.replayed))
        if not again or since is None or data.recovered:
            return [joined]
        same_log = top is not None and top.epoch == since.epoch and top.offset >= since.offset
        lost = top.offset - since.offset if same_log and top is not None else None
        return [joined, Missed(self.name, lost, data.reason or GapReason.INVALID)]

    def on_message(self, data: NewMessageData, *, own: bool) -> list[ClientEvent]:
        """A publication: told once and in order, whatever the server sends."""
        position = Position(data.epoch, data.offset)
        events: list[ClientEvent] = []
        if self.told is not None and self.told.epoch == position.epoch:
            if position.offset <= self.told.offset:
                return [
                    Trouble("repeated", f"the server sent {position} of #{self.name} again; it was left out")
                ]
            hole = position.offset - self.told.offset - 1
            if hole:
                events.append(Missed(self.name, hole, "not_sent"))
        self.told = position
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

    def on_gap(self, data: GapData) -> list[ClientEvent]:
        """The server says that publications will not come: go on after them."""
        to = read_position(data.to)
        if to is not None:
            self.told = to
        return [Missed(self.name, data.lost, data.reason)]
