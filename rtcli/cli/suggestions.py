"""What a person probably meant: a command by another name, an argument that is an option here. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

# Words of other tools, and of everyday language.
_COMMANDS = {
    "tail-events": ("events", "follow", "listen", "sse", "stream", "sub", "subscribe"),
    "publish": ("emit", "pub", "send"),
    "serve": ("run", "server", "start", "up"),
    "loadtest": ("bench", "benchmark", "load", "test"),
    "ws": ("connect", "websocket", "wscat", "websocat"),
    "chat": ("join", "talk"),
}
_MEANT_BY = {word: name for name, words in _COMMANDS.items() for word in words}
# Commands without arguments, and the option that takes what is given to them as one.
_OPTIONS = {"chat": "--room", "serve": "--port"}


def command_for(word: str, commands: Iterable[str]) -> str | None:
    """The command that is called so elsewhere, or the only one whose name begins so."""
    if word in _MEANT_BY:
        return _MEANT_BY[word]
    begun = [name for name in commands if word and name.startswith(word)]
    return begun[0] if len(begun) == 1 else None


def for_extra(path: str, extra: str) -> str:
    """The command line that was probably meant by `path extra`; empty if there is none."""
    program, _, command = path.partition(" ")
    option = _OPTIONS.get(command)
    if option is None or (option == "--port" and not extra.isdecimal()):
        return ""
    return f"{program} {command} {option} {shlex.quote(extra)}"


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """`help COMMAND` as `COMMAND --help`, and `version` as `--version`; all else as it is."""
    words = list(arguments)
    first = next((index for index, word in enumerate(words) if not word.startswith("-")), None)
    if first is not None and words[first] == "help":
        return [*words[:first], *words[first + 1 :], "--help"]
    rest = [] if first is None else words[first + 1 :]
    if first is not None and words[first] == "version" and all(word.startswith("-") for word in rest):
        return [*words[:first], "--version", *rest]
    return words
