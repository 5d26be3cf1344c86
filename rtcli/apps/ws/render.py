"""Writes what goes over a WebSocket as a line for a person, as data for a pipe, or as a record. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence

from rtcli.apps.ws.outgoing import Encoding
from rtcli.client.raw.ending import Ending
from rtcli.client.raw.frames import Direction, Frame, Kind, Message, read_close
from rtcli.terminal.escaping import escape

MAX_SHOWN = 16_384  # characters of a message on a terminal; there is no limit in a pipe
_MAX_VERBOSE = 100
_SECRET = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})
_ARROWS = {Direction.IN: "<", Direction.OUT: ">"}
# What may be in data that a program reads, and is harmless in a terminal that shows it.
_KEPT = re.compile("([\n\t])")


def data_of(message: Message, encoding: Encoding | None, *, raw: bool) -> bytes:
    """A message of the server as data for a pipe.

    A text keeps its line breaks and tabs, and `raw` all of its characters.
    """
    if message.kind is Kind.TEXT:
        text = message.text or ""
        return f"{text if raw else _harmless(text)}\n".encode()
    if encoding is Encoding.RAW:
        return message.payload
    return f"{_written(message.payload, encoding)}\n".encode()


def lines_of(message: Message, encoding: Encoding | None) -> list[str]:
    """A message as lines for a person: an arrow, then its text, of which each line is one."""
    arrow = _ARROWS[message.direction]
    if message.kind is not Kind.TEXT:
        return [f"{arrow} {message.kind}, {_size(message.payload)}  {_sample(message, encoding)}".rstrip()]
    text = message.text or ""
    shown = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({_size(message.payload)})"
    first, *rest = shown.split("\n")
    return [f"{arrow} {escape(first)}", *(f"  {escape(line)}" for line in rest)]


def record_of(message: Message, timestamp: str) -> dict[str, object]:
    """A message or control frame as a record of `--json`."""
    record: dict[str, object] = {
        "type": "frame",
        "ts": timestamp,
        "direction": str(message.direction),
        "opcode": str(message.kind),
        "bytes": len(message.payload),
    }
    if message.fragments > 1:
        record["fragments"] = message.fragments
    if message.kind is Kind.CLOSE:
        code, reason = read_close(message.payload)
        return {**record, "code": code, "reason": reason}
    text = message.text if message.kind is not Kind.BINARY else None
    if text is None:
        return {**record, "data": base64.b64encode(message.payload).decode(), "encoding": "base64"}
    return {**record, "data": text}


def opened_record(timestamp: str, url: str, subprotocol: str | None) -> dict[str, object]:
    """The record of an open connection."""
    return {"type": "open", "ts": timestamp, "url": url, "subprotocol": subprotocol}


def closed_record(timestamp: str, ending: Ending) -> dict[str, object]:
    """The record of the end of a connection."""
    end = {"code": ending.code, "reason": ending.reason, "by": str(ending.by)}
    return {"type": "closed", "ts": timestamp, **end}


def verbose_line(frame: Frame, elapsed_s: float) -> str:
    """A frame for `-v`: when it came, which way, what it is, its size, and its beginning."""
    more = "" if frame.final else ", more follows"
    head = f"{elapsed_s:8.3f} s {_ARROWS[frame.direction]} {frame.kind}, {_size(frame.payload)}{more}"
    return f"{head}  {_sample(Message(frame.direction, frame.kind, frame.payload), None)}".rstrip()


def header_lines(start: str, fields: Iterable[tuple[str, str]], arrow: str) -> list[str]:
    """The head of a request or an answer for `-v`, without secrets."""
    return [
        f"{arrow} {start}",
        *(f"{arrow} {key}: {'…' if key.lower() in _SECRET else value}" for key, value in fields),
    ]


def _sample(message: Message, encoding: Encoding | None) -> str:
    """The beginning of a payload, on one line."""
    if message.kind is Kind.CLOSE:
        code, reason = read_close(message.payload)
        return f"{code} {escape(reason)}".strip()
    text = None if message.kind is Kind.BINARY else _beginning(message.payload)
    if text is None:
        given = None if encoding is Encoding.RAW else encoding
        return _cut(_written(message.payload[:MAX_SHOWN], given), len(message.payload) > MAX_SHOWN)
    return escape(text, limit=_MAX_VERBOSE)


def _beginning(payload: bytes) -> str | None:
    """The beginning of a payload as text, which may end within a character; None for what is none."""
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        # A fragment may begin and end within a character.
        return payload.decode("utf-8", "replace") if error.start > len(payload) - 4 else None


def _cut(text: str, more: bool) -> str:
    return f"{text}…" if more else text


def _written(payload: bytes, encoding: Encoding | None) -> str:
    return base64.b64encode(payload).decode() if encoding is Encoding.BASE64 else payload.hex()


def _harmless(text: str) -> str:
    """The text without control and direction characters; line breaks and tabs are data."""
    if "\n" not in text and "\t" not in text:
        return escape(text)
    return "".join(part if part in "\n\t" else escape(part) for part in _KEPT.split(text))


def _size(payload: Sequence[int]) -> str:
    return f"{len(payload)} byte{'' if len(payload) == 1 else 's'}"
