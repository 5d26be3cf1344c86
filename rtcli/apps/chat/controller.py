"""Handles the lines that a person enters on a terminal, with or without a status line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rtcli import Client, ClientEvent, RtcliError
from rtcli.apps.chat.input import COMMANDS, MAX_UNSENT, Command, Mistake, Say, parse_line
from rtcli.apps.chat.model import ChatModel, Line, talk
from rtcli.apps.chat.typing_throttle import TypingThrottle
from rtcli.protocol.messages.client import MAX_HISTORY
from rtcli.protocol.rooms import ROOM_RULE, nfc, room_of
from rtcli.terminal.escaping import escape


class Controller:
    """Connects the person, the model and the client. `show` prints lines, `leave` ends the chat."""

    def __init__(
        self,
        model: ChatModel,
        *,
        history: int,
        show: Callable[[list[Line]], None],
        leave: Callable[[], None],
        clear: Callable[[], None],
        clock: Callable[[], float],
        typing: TypingThrottle,
        client: Client,
    ) -> None:
        self.model = model
        self.typing = typing
        self._history = history
        self._show = show
        self._leave = leave
        self._clear = clear
        self._clock = clock
        self.client = client

    async def follow(self) -> None:
        """Connect, and show what happens until the client is closed. Raises RtcliError."""
        updates = self.client.updates()
        self.client.start()
        async for event in updates:
            self.on_event(event)

    def join(self, rooms: tuple[str, ...]) -> None:
        """Join the rooms and make the first one active."""
        self.model.going_to = rooms[0]
        for room in rooms:
            self.client.join(room, history=self._history)

    def on_event(self, event: ClientEvent) -> None:
        """Show what happened in the client."""
        lines = self.model.on_event(event, self._clock())
        if lines:
            self._show(lines)

    def text_changed(self, text: str) -> None:
        """The input line has changed: others may have to know that we type, or stopped."""
        is_typing = self.typing.changed(text, self._clock())
        if is_typing is not None and self.model.active:
            self.client.typing(self.model.active, is_typing=is_typing)

    async def enter(self, line: str) -> None:
        """Handle a line that the person entered."""
        match parse_line(line):
            case Say(text=text):
                self._say(text)
            case Command(name=name, argument=argument):
                await self._command(name, argument)
            case Mistake(text=text):
                self._print(escape(text))

    def _print(self, *texts: str) -> None:
        self._show([talk(text) for text in texts])

    def _say(self, text: str) -> None:
        self.typing.sent()
        room = self.model.active or next(iter(self.client.rooms), "")
        if room not in self.client.rooms:
            self._print("not sent: you are in no room; /join ROOM")
        elif len(self.client.unconfirmed) >= MAX_UNSENT:
            self._print(f"not sent: offline, {MAX_UNSENT} are kept already")
        else:
            try:
                self.client.send(room, text)
            except RtcliError as error:
                self._print(f"not sent: {escape(error.message)}")

    async def _command(self, name: str, argument: str) -> None:
        actions: dict[str, Callable[[str], Awaitable[None] | None]] = {
            "who": lambda _: self._show(self.model.who()),
            "join": self._join,
            "part": self._part,
            "rooms": lambda _: self._print(self._rooms()),
            "me": lambda text: self._say(f"/me {text}"),
            "history": self._show_history,
            "ping": lambda _: self.client.ping(),
            "status": lambda _: self._print(*self._status()),
            "typing": self._switch_typing,
            "reconnect": lambda _: self.client.reconnect(),
            "clear": lambda _: self._clear(),
            "help": lambda _: self._print(*COMMANDS.values(), "//text            say /text"),
            "quit": lambda _: self._leave(),
        }
        result = actions[name](argument)
        if result is not None:
            await result

    def _join(self, name: str) -> None:
        name = name.removeprefix("#")
        room = room_of(name)
        if room is None:
            self._print(f"#{escape(name)} cannot be a room: {ROOM_RULE}")
        elif room in self.model.rooms:
            self.model.active = room
            self._print(f"you talk in #{escape(room)} now")
        else:
            self.model.going_to = room
            self.client.join(room, history=self._history)

    def _part(self, room: str) -> None:
        room = nfc(room.removeprefix("#")) or self.model.active
        if room not in self.client.rooms:
            self._print("you are not in that room")
        else:
            self.client.leave(room)

    def _rooms(self) -> str:
        marks = [f"{'*' if room == self.model.active else ''}#{escape(room)}" for room in self.client.rooms]
        return f"you are in: {', '.join(marks) or 'no room'}"

    async def _show_history(self, argument: str) -> None:
        limit = int(argument) if argument.isascii() and argument.isdigit() else 0
        if not 1 <= limit <= MAX_HISTORY:
            self._print(f"it goes: /history N, with N from 1 to {MAX_HISTORY}")
            return
        try:
            messages = await self.client.history(self.model.active, limit)
        except RtcliError as error:
            self._print(escape(error.message))
            return
        self._show(self.model.past_messages(messages))

    def _switch_typing(self, argument: str) -> None:
        if argument not in ("on", "off"):
            self._print("it goes: /typing on, or /typing off")
            return
        self.typing.enabled = argument == "on"
        self._print(f"others {'see' if self.typing.enabled else 'do not see'} that you type")

    def _status(self) -> list[str]:
        trip = self.model.round_trip_s
        lines = [
            f"{'connected' if self.model.connected else 'not connected'}"
            + (f", {trip * 1000:.1f} ms to the server and back" if trip is not None else "")
        ]
        lines += [f"#{escape(room)} is at {self.client.position(room)}" for room in self.client.rooms]
        return lines + [f"not sent: {escape(text, limit=200)}" for _, text in self.client.unconfirmed]


def unsent_lines(client: Client) -> list[Line]:
    """The texts that are lost when we leave now, for the person to copy."""
    return [talk(f"not sent to #{escape(room)}: {escape(text)}") for room, text in client.unconfirmed]
