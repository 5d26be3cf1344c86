"""What a person or a pipe wants sent: texts, bytes, control frames. Pure."""

from __future__ import annotations

import base64
import binascii
import difflib
from dataclasses import dataclass
from enum import StrEnum

from rtcli.errors import CliError

MAX_CONTROL_BYTES = 125  # RFC 6455, section 5.5
_MAX_REASON_BYTES = MAX_CONTROL_BYTES - 2
_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})
COMMANDS = {
    "ping": "/ping [TEXT]           send a ping, and say when it is answered",
    "pong": "/pong [TEXT]           send a pong",
    "binary": "/binary HEX            send a binary message",
    "close": "/close [CODE [REASON]] close the connection",
    "help": "/help                  this list; //text sends /text",
    "quit": "/quit                  leave (or Ctrl-D)",
}


class Encoding(StrEnum):
    """How binary messages are written."""

    HEX = "hex"
    BASE64 = "base64"
    RAW = "raw"


@dataclass(frozen=True, slots=True)
class Send:
    """A message: a text, or bytes."""

    data: str | bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping with this payload; empty: one that is made up."""

    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Pong:
    """A pong that nobody has asked for."""

    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Close:
    """The end."""

    code: int = 1000
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Help:
    """The list of commands."""


Outgoing = Send | Ping | Pong | Close | Help


class BadInputError(ValueError):
    """The text says what is wrong with a message or a command; `hint` what would be right."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.hint = hint

    def at(self, place: str) -> CliError:
        """The error that names the place: `line 3`."""
        return CliError(f"{place} {self}", hint=self.hint)


def read_message(data: bytes, encoding: Encoding | None, *, slash: bool = False) -> Outgoing:
    """Read a line or an argument: a text, or bytes as `encoding` writes them. Raises BadInputError.

    With `slash`, `/word` is a command, and `//word` the text `/word`.
    """
    if encoding is Encoding.RAW:
        return Send(data)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise BadInputError(
            "is not UTF-8 text", "bytes are sent with --binary raw, or written as --binary hex or base64"
        ) from None
    if slash and text.startswith("/"):
        if not text.startswith("//"):
            return read_command(text)
        text = text[1:]
    return Send(text if encoding is None else _read_bytes(text, encoding))


def _read_bytes(text: str, encoding: Encoding) -> bytes:
    try:
        if encoding is Encoding.HEX:
            return bytes.fromhex(text)
        return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        example = "00 ff 10" if encoding is Encoding.HEX else "AP8Q"
        raise BadInputError(
            f"is not {encoding}", f"--binary {encoding} reads lines like: {example}"
        ) from None


def read_command(text: str) -> Outgoing:
    """Read `/ping`, `/close 4000 bye`, … Raises BadInputError."""
    word, _, argument = text[1:].partition(" ")
    payload = argument.encode("utf-8", "replace")
    if word in {"ping", "pong"}:
        if len(payload) > MAX_CONTROL_BYTES:
            raise BadInputError(
                f"has more than {MAX_CONTROL_BYTES} bytes for a /{word}", "RFC 6455, section 5.5"
            )
        return Ping(payload) if word == "ping" else Pong(payload)
    if word == "binary":
        return Send(_read_bytes(argument, Encoding.HEX))
    if word in {"close", "quit"}:
        return read_close(argument)
    if word == "help":
        return Help()
    close = difflib.get_close_matches(word, COMMANDS, n=1)
    meant = f"did you mean /{close[0]}? " if close else ""
    raise BadInputError(f"has an unknown command /{word}", f"{meant}//{word} sends the text /{word}")


def read_close(text: str) -> Close:
    """Read `CODE [REASON]`; nothing is 1000. Raises BadInputError."""
    code, _, reason = text.strip().partition(" ")
    if not code:
        return Close()
    if not (code.isascii() and code.isdigit() and int(code) in _CLOSE_CODES):
        raise BadInputError(
            f"has no close code that can be sent: {code}", "1000 to 1003, 1007 to 1014, or 3000 to 4999"
        )
    if len(reason.encode("utf-8", "replace")) > _MAX_REASON_BYTES:
        raise BadInputError(f"has a reason of more than {_MAX_REASON_BYTES} bytes", "RFC 6455, section 5.5")
    return Close(int(code), reason)
