"""What a person sees of a chat: lines in the scrollback, and who is in which room. Pure.

`on_event` takes an event of the client and returns the lines to print. Everything else is state that the
status line shows. A line is text that is safe for a terminal, with a style.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rtcli import (
    Acked,
    ClientEvent,
    Connected,
    Joined,
    JoinRefused,
    Left,
    Lost,
    Message,
    Presence,
    Reconnected,
    RoundTrip,
    TypingChanged,
)
from rtcli.apps.chat.render import name_of, sentence
from rtcli.protocol.messages.client import MAX_CONTENT
from rtcli.protocol.tokens import MAX_USER_ID
from rtcli.terminal.clock import clock_time
from rtcli.terminal.console import Style
from rtcli.terminal.escaping import escape

TYPING_S = 6.0  # the server ends it by then as well
_NAME_STYLES: tuple[Style, ...] = ("cyan", "green", "yellow", "blue", "magenta")
_MAX_PEOPLE = 10_000  # of a room, whose names are known
_MAX_NAME = 128  # characters of one; rtcli servers send no more
_MAX_PRESENCE_LINES = 5  # of one batch; more are counted


@dataclass(frozen=True)
class Line:
    """A line of the scrollback: pieces of safe text, each with its styles."""

    pieces: tuple[tuple[str, tuple[Style, ...]], ...]

    @property
    def text(self) -> str:
        """The line without styles."""
        return "".join(text for text, _ in self.pieces)


def talk(text: str) -> Line:
    """A line about the connection or the rooms, not a message."""
    return Line(((f"-- {text}", ("dim",)),))


@dataclass
class RoomView:
    """One room, as far as its members are known."""

    name: str
    people: dict[str, str] = field(default_factory=dict)  # user id → name, at most 200 from the server
    count: int = 0
    typing: dict[str, float] = field(default_factory=dict)  # user id → until when
    history_left: int = 0

    def remember(self, user_id: str, name: str) -> None:
        """Remember somebody's name, unless there are too many: a server may tell of any number of people."""
        if user_id in self.people or len(self.people) < _MAX_PEOPLE:
            self.people[user_id] = name[:_MAX_NAME]


class ChatModel:
    """The state of the screen. `me` is our user id once it is known; `wide` allows more than ASCII."""

    def __init__(self, *, wide: bool) -> None:
        self.rooms: dict[str, RoomView] = {}
        self.active = ""  # the room that typed text goes to
        self.going_to = ""  # the room that the person asked for
        self.me = ""
        self.round_trip_s: float | None = None
        self.retry_at: float | None = None
        self.attempt = 0
        self.connected = False
        self.wide = wide

    # -- events --------------------------------------------------------------------------------------------

    def on_event(self, event: ClientEvent, now: float) -> list[Line]:
        """Update the state; returns the lines that the event adds to the scrollback."""
        match event:
            case Message():
                return self._on_message(event)
            case Presence():
                return self._on_presence(event)
            case Joined():
                return self._on_joined(event)
            case TypingChanged():
                self._on_typing(event, now)
            case RoundTrip():
                self.round_trip_s = event.seconds
            case _:
                return self._on_connection(event, now)
        return []

    def _on_connection(self, event: ClientEvent, now: float) -> list[Line]:
        lines: list[Line] = []
        match event:
            case Connected():
                self.me, self.connected = str(event.user_id), True
            case Lost():
                self.connected, self.round_trip_s = False, None
                self.retry_at, self.attempt = now + event.retry_in_s, event.attempt
                for room in self.rooms.values():
                    room.typing.clear()
            case Reconnected():
                self.connected, self.retry_at = True, None
                if event.caught_up:
                    lines.append(self._ruler(f"{event.caught_up} while you were away"))
            case JoinRefused() | Left():
                self.rooms.pop(event.room, None)
                if self.active == event.room:
                    self.active = next(iter(self.rooms), "")
            case Acked():
                return []
        text = sentence(event)
        return [*([] if text is None else [talk(escape(text))]), *lines]

    def _on_joined(self, event: Joined) -> list[Line]:
        room = self.rooms.setdefault(event.room, RoomView(event.room))
        room.people = {str(user_id): name for user_id, name in event.members}
        room.count = event.member_count
        if event.rejoined:
            return []
        if not self.active or event.room == self.going_to:
            self.active = event.room
        room.history_left = event.replayed
        return [self._ruler(self._header(room))]

    def _header(self, room: RoomView) -> str:
        names = [
            "you" if user_id == self.me else name_of(name) for user_id, name in list(room.people.items())[:8]
        ]
        more = room.count - len(names)
        who = ", ".join(names) + (f" and {more} more" if more > 0 else "")
        history = f"{self._dot()}history {room.history_left}" if room.history_left else ""
        return f"#{escape(room.name)}{self._dot()}{room.count} here: {who}{history}"

    def _on_message(self, event: Message) -> list[Line]:
        room = self.rooms.get(event.room)
        if room is not None:
            room.typing.pop(str(event.sender_id), None)
        lines = list(self._message_lines(event))
        if room is not None and room.history_left and event.history:
            room.history_left -= 1
            if not room.history_left:
                lines.append(self._ruler("now"))
        return lines

    def past_messages(self, messages: list[Message]) -> list[Line]:
        """Older messages that the person asked for, with a ruler before and after them."""
        lines = [line for message in messages for line in self._message_lines(message)]
        return [
            self._ruler(f"the last {len(messages)} of #{escape(self.active)}"),
            *lines,
            self._ruler("now"),
        ]

    def _message_lines(self, event: Message) -> Iterable[Line]:
        mine = event.own or str(event.sender_id) == self.me
        name = name_of(event.sender_name)
        style: tuple[Style, ...] = (
            ("bold",) if mine else (_NAME_STYLES[sum(name.encode()) % len(_NAME_STYLES)],)
        )
        body: tuple[Style, ...] = ("dim",) if event.history else ()
        place = f" #{escape(event.room)}" if len(self.rooms) > 1 else ""
        first, *others = event.content[:MAX_CONTENT].split("\n")  # rtcli servers send no more
        if first.startswith("/me "):
            yield Line(((f"{clock_time(event.timestamp)}{place} ", ("dim",)), (f"* {name} ", style),
                        (escape(first[4:]), body)))  # fmt: skip
        else:
            yield Line(((f"{clock_time(event.timestamp)}{place} ", ("dim",)), (name, style),
                        (f"  {escape(first)}", body)))  # fmt: skip
        for text in others:
            # Marked and indented, so that nobody can write a line that looks like somebody else's.
            yield Line((("         | ", ("dim",)), (escape(text.removesuffix("\r")), body)))

    def _on_presence(self, event: Presence) -> list[Line]:
        room, user_id = self.rooms.get(event.room), str(event.user_id)
        if room is None or user_id == self.me or len(user_id) > MAX_USER_ID:
            return []
        known = user_id in room.people
        if event.here:
            room.remember(user_id, event.name)
            room.count += 0 if known else 1
        else:
            room.people.pop(user_id, None)
            room.typing.pop(user_id, None)
            room.count = max(0, room.count - 1)
        what = "joined" if event.here else "left"
        place = f" #{escape(room.name)}" if len(self.rooms) > 1 else ""
        return [Line(((f"* {name_of(event.name)} {what}{place}", ("dim",)),))]

    def _on_typing(self, event: TypingChanged, now: float) -> None:
        room, user_id = self.rooms.get(event.room), str(event.user_id)
        if room is None or user_id == self.me or len(user_id) > MAX_USER_ID:
            return
        if user_id not in room.people:
            room.remember(user_id, event.name)
        if not event.is_typing:
            room.typing.pop(user_id, None)
        elif user_id in room.people:
            room.typing[user_id] = now + TYPING_S

    # -- what the status line shows ------------------------------------------------------------------------

    def typing_names(self, now: float) -> list[str]:
        """Who types in the active room."""
        room = self.rooms.get(self.active)
        if room is None:
            return []
        room.typing = {user_id: until for user_id, until in room.typing.items() if until > now}
        return [name_of(room.people.get(user_id, user_id)) for user_id in room.typing]

    def who(self) -> list[Line]:
        """The people of the active room."""
        room = self.rooms.get(self.active)
        if room is None:
            return [talk("you are in no room; /join ROOM")]
        names = sorted(
            name_of(name) + (" (you)" if user_id == self.me else "") for user_id, name in room.people.items()
        )
        more = room.count - len(names)
        return [
            talk(f"in #{escape(room.name)}: {', '.join(names)}" + (f" and {more} more" if more > 0 else ""))
        ]

    def _ruler(self, text: str) -> Line:
        bar = "──" if self.wide else "--"
        return Line(((f"{bar} {text} {bar * 10}", ("dim",)),))

    def _dot(self) -> str:
        return " · " if self.wide else ", "


def fold_presence(lines: list[Line]) -> list[Line]:
    """Count joins and leaves when there are many: a mass reconnection must not push the messages away."""
    marks = [line for line in lines if _is_presence(line)]
    if len(marks) <= _MAX_PRESENCE_LINES:
        return lines
    left = sum(1 for line in marks if " left" in line.text)
    joined = len(marks) - left
    parts = [f"{count} {what}" for count, what in ((joined, "joined"), (left, "left")) if count]
    rest = [line for line in lines if not _is_presence(line)]
    return [Line(((f"* {', '.join(parts)}", ("dim",)),)), *rest]


def _is_presence(line: Line) -> bool:
    return len(line.pieces) == 1 and line.text.startswith("* ")
