"""What a person types in a chat: something to say, or a command. Pure."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

MAX_LINE_BYTES = 262_144  # longer than any text that a server accepts, even if all of it is escaped
MAX_UNSENT = 100  # texts without an acknowledgement; then a pipe waits, and a person is refused
COMMANDS: dict[str, str] = {
    "who": "/who              who is in this room",
    "join": "/join ROOM        go into a room, or back to one that you are in",
    "part": "/part [ROOM]      leave a room",
    "rooms": "/rooms            the rooms that you are in",
    "me": "/me TEXT          say what you do",
    "history": "/history N        the last N messages of this room",
    "ping": "/ping             measure the round trip",
    "status": "/status           the connection, and what is not sent yet",
    "typing": "/typing on|off    whether others see that you type",
    "reconnect": "/reconnect        drop the connection and come back, or try now",
    "clear": "/clear            clear the screen",
    "help": "/help             this list",
    "quit": "/quit             leave (or Ctrl-D)",
}
_ALIASES = {"names": "who", "leave": "part", "exit": "quit", "q": "quit", "?": "help"}
_WITH_ARGUMENT = frozenset({"join", "me", "history", "typing"})


@dataclass(frozen=True)
class Say:
    """Text for the room."""

    text: str


@dataclass(frozen=True)
class Command:
    """A known command with its argument, empty for none."""

    name: str
    argument: str


@dataclass(frozen=True)
class Mistake:
    """A line that is not sent, and the reason."""

    text: str


def parse_line(line: str) -> Say | Command | Mistake | None:
    """Parse a line; None for an empty one. `//x` is the text `/x`. Unknown commands are not sent."""
    if not line.strip():
        return None
    if not line.startswith("/"):
        return Say(line)
    if line.startswith("//"):
        return Say(line[1:])
    word, _, argument = line[1:].partition(" ")
    name = _ALIASES.get(word.lower(), word.lower())
    argument = argument.strip()
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f", did you mean /{close[0]}?" if close else "; /help lists them, and //text says /text"
        return Mistake(f"unknown command /{word}{hint}")
    if name in _WITH_ARGUMENT and not argument:
        return Mistake(f"it goes: {COMMANDS[name].split('  ')[0]}")
    return Command(name, argument)
