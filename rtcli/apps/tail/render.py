r"""Writes an event of a stream as a line for a person, its data, its wire format, or a record.

All but `raw` into a pipe are one line without control and direction characters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import msgspec

from rtcli import Gap, Position, StreamEvent
from rtcli.protocol.messages import format_timestamp
from rtcli.protocol.sse import encode_event
from rtcli.terminal.clock import clock_time
from rtcli.terminal.escaping import escape, escape_json, json_text

MAX_SHOWN = 16_384  # characters of an event on a terminal; there is no limit in a pipe
_OWN_NAMES = {"~me": "your events", "~all": "broadcasts"}  # of channels that are no rooms


class Output(StrEnum):
    """The values of `-o`."""

    DEFAULT = "default"
    DATA = "data"
    RAW = "raw"
    JSON = "json"


@dataclass(frozen=True)
class ReceivedEvent:
    """An event, and when it arrived (unix seconds)."""

    event: StreamEvent
    received: float

    @cached_property
    def data(self) -> object:
        """The data decoded from JSON, or None if it is not JSON."""
        try:
            return msgspec.json.decode(self.event.data)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return None

    @property
    def fields(self) -> Mapping[str, object]:
        """The data if it is a JSON object, else empty."""
        return self.data if isinstance(self.data, dict) else {}

    @property
    def room(self) -> str | None:
        """The room that it names, if any."""
        room = self.fields.get("room")
        return room if isinstance(room, str) else None

    @property
    def timestamp(self) -> str:
        """Its own timestamp, else when it arrived (RFC 3339)."""
        said = self.fields.get("timestamp")
        return said if isinstance(said, str) else format_timestamp(self.received)

    def record(self) -> dict[str, object]:
        """The event as a record of `--json`."""
        record: dict[str, object] = {
            "type": "event",
            "ts": self.timestamp,
            "id": self.event.id,
            "event": self.event.event,
        }
        if self.room is not None:
            record["room"] = self.room
        if self.data is None and self.event.data != "null":
            return record | {"data": self.event.data, "data_json": False}
        return record | {"data": self.data}


def render_line(seen: ReceivedEvent, *, limit: int | None = None) -> str:
    """One line for a person: time, room, event, and who said what (or the data), cut to `limit`."""
    name, text = seen.fields.get("sender_name"), seen.fields.get("content")
    if seen.event.event == "new_message" and isinstance(text, str):
        said = f"{escape(str(name), limit=100)}: {escape(text, limit=limit)}"
    else:
        said = escape(seen.event.data, limit=limit)
    room = "-" if seen.room is None else escape(seen.room)
    return f"{clock_time(seen.timestamp)}  {room}  {escape(seen.event.event)}  {said}"


def _data_line(data: str) -> str:
    """The data on one line: JSON without white space, other text escaped."""
    try:
        return escape_json(msgspec.json.format(data, indent=-1))
    except (msgspec.DecodeError, UnicodeEncodeError):
        return escape(data)


def render_raw(event: StreamEvent) -> bytes:
    """The event in its wire format, byte for byte as our encoder writes it."""
    return encode_event(id=event.id or None, event=event.event, data=event.data)


def renderer(output: Output, *, for_terminal: bool) -> Callable[[ReceivedEvent], bytes]:
    """The function that writes one event in this format, with its line break."""
    if output is Output.JSON:
        return lambda seen: f"{json_text(seen.record())}\n".encode()
    if output is Output.DATA:
        return lambda seen: f"{_data_line(seen.event.data)}\n".encode()
    if output is Output.DEFAULT:
        limit = MAX_SHOWN if for_terminal else None
        return lambda seen: f"{render_line(seen, limit=limit)}\n".encode()
    if for_terminal:
        return lambda seen: _escape_lines(render_raw(seen.event))
    return lambda seen: render_raw(seen.event)


def _escape_lines(data: bytes) -> bytes:
    return b"\n".join(escape(line).encode() for line in data.decode("utf-8", "replace").split("\n"))


def gap_record(gap: Gap, timestamp: str) -> dict[str, object]:
    """A gap as a record of `--json`."""
    where = {"room": gap.room} if gap.is_room else {"channel": _OWN_NAMES[gap.room]}
    ends = {"from": _place(gap.after), "to": _place(gap.upto)}
    return {"type": "gap", "ts": timestamp, **where, **ends, "lost": gap.lost, "reason": gap.reason}


def gap_sentence(gap: Gap) -> str:
    """A gap in words."""
    where = f"#{gap.room}" if gap.is_room else _OWN_NAMES[gap.room]
    lost = "an unknown number of" if gap.lost is None else str(gap.lost)
    return f"gap in {where}: {lost} events will not come ({gap.reason})"


def _place(position: Position | None) -> str | None:
    return None if position is None else str(position)
