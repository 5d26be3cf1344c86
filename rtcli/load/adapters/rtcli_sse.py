"""Our own event streams (docs/protocol.md, section 4)."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote, unquote, urlencode

import msgspec
from typing_extensions import override

from rtcli.client.endpoint import Endpoint
from rtcli.load.adapters.interface import (
    ChannelEvent,
    ChannelStart,
    Closing,
    Data,
    Event,
    Gap,
    Hello,
    Joined,
    Opening,
    SseAdapter,
    read_position,
    unreadable,
)
from rtcli.protocol.paths import EVENT_STREAM_PATH
from rtcli.protocol.position import EVENT_KEYS, Position
from rtcli.protocol.publication import DIRECT


class _Channel(msgspec.Struct):
    position: str = ""
    recovered: bool | None = None


class _Ready(msgspec.Struct):
    connection_id: str = ""
    channels: dict[str, _Channel] = {}


class _Message(msgspec.Struct):
    room: str
    epoch: str
    offset: int
    content: str | None = None


class _Gap(msgspec.Struct):
    room: str
    to: str
    from_: str = msgspec.field(name="from", default="")
    lost: int | None = None


class _Closing(msgspec.Struct):
    retry_after_ms: int | None = None


_WITHOUT_POSITION = frozenset({"heartbeat", "error", DIRECT})
_decode_ready = msgspec.json.Decoder(_Ready).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_gap = msgspec.json.Decoder(_Gap).decode
_decode_closing = msgspec.json.Decoder(_Closing).decode


class RtcliSse(SseAdapter):
    """The adapter. The token goes into the Authorization header, the rooms into the query."""

    transport: Literal["sse"] = "sse"
    greets = True
    resumes = True

    @override
    def target(self, endpoint: Endpoint, opening: Opening) -> str:
        path = opening.path or endpoint.path or EVENT_STREAM_PATH
        if opening.rooms:
            query = urlencode([("room", room) for room in opening.rooms], quote_via=quote)
            path += ("&" if "?" in path else "?") + query
        return path

    @override
    def headers(self, opening: Opening) -> list[tuple[str, str]]:
        own = [("Authorization", f"Bearer {opening.token}")] if opening.token else []
        return [*own, *opening.headers.items()]

    @override
    def parse(self, event: str, data: str, last_id: str) -> list[Event]:
        try:
            return _events(event, data, last_id)
        except (msgspec.DecodeError, UnicodeError) as error:
            return [unreadable(data.encode(), f"the event `{event}`: {error}")]


def _events(event: str, data: str, last_id: str) -> list[Event]:
    if event == "new_message":
        message = _decode_message(data)
        return [Data(message.room, Position(message.epoch, message.offset), message.content)]
    if event == "ready":
        ready = _decode_ready(data)
        starts = [
            ChannelStart(key, read_position(channel.position), channel.recovered)
            for key, channel in ready.channels.items()
        ]
        rooms: list[Event] = [
            Joined(unquote(start.channel), start.position, start.recovered)
            for start in starts
            if not start.channel.startswith("~")
        ]
        events = [start for start in starts if start.channel in EVENT_KEYS]
        return [Hello(ready.connection_id, events), *rooms]
    if event == "gap":
        gap = _decode_gap(data)
        return [Gap(gap.room, read_position(gap.from_), read_position(gap.to), gap.lost)]
    if event == "closing":
        after = _decode_closing(data).retry_after_ms
        return [Closing(None if after is None else after / 1000)]
    return [] if event in _WITHOUT_POSITION else _channel_event(last_id)


def _channel_event(last_id: str) -> list[Event]:
    """A personal or broadcast event: its own channel and position come first in its id."""
    channel, _, position = last_id.partition(",")[0].partition("=")
    return [ChannelEvent(channel, read_position(position))] if channel in EVENT_KEYS else []
