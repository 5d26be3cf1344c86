"""What a request for an event stream asks for, and whether it can be followed (protocol.md, 4 and 6).

Pure: looks at headers and parameters, and decides. `sse.py` answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rtcli.protocol.position import InvalidPositionError, Position, longest_cursor, parse_cursor
from rtcli_server.headers import Headers

MEDIA_TYPE = "text/event-stream"
_RANGES = (MEDIA_TYPE, "text/*", "*/*")  # those that cover it, the most specific one first
_ID_HEADER = b"last-event-id"
_SPARE_BYTES = (
    256  # what may differ between two requests for one stream, and what a line takes beside its text
)


@dataclass(frozen=True)
class Asked:
    """What a request for a stream asks for."""

    channels: list[str]
    cursor: Mapping[str, Position]
    invalid: bool  # a cursor was sent that cannot be read


NOTHING = Asked([], {}, invalid=False)


def read_cursor(text: str, channels: list[str], *, user_channel: str) -> Asked:
    """Read a cursor (empty: none was sent) for `channels`; what it says of other channels does not matter."""
    if not text:
        return Asked(channels, {}, invalid=False)
    try:
        cursor = parse_cursor(text, user_channel=user_channel)
    except InvalidPositionError:
        return Asked(channels, {}, invalid=True)
    return Asked(channels, {name: at for name, at in cursor.items() if name in channels}, invalid=False)


def accepts_events(values: Sequence[str]) -> bool:
    """Whether the `Accept` headers leave room for an event stream.

    RFC 9110, section 12.5.1: no header means anything, "the most specific reference has precedence", and a
    weight of 0 is "not acceptable". What is no media range is passed over: only who surely cannot read a
    stream is refused.
    """
    weights = dict(_weighted(",".join(values)))
    named = next((name for name in _RANGES if name in weights), None)
    return weights[named] != 0 if named is not None else not weights


def _weighted(text: str) -> Iterable[tuple[str, float]]:
    for item in text.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        if "/" not in name:
            continue
        weight = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
        try:
            yield name, float(weight)
        except ValueError:
            yield name, 1.0


def can_come_back(raw_path: bytes, headers: Headers, channels: Iterable[str], *, max_head_bytes: int) -> bool:
    """Whether this stream could be resumed with any cursor that it may get to.

    A cursor has a limit, and so has the head of the request that brings it: a browser that is refused for
    either gives up for ever, in the middle of a stream that it was let into. `raw_path` holds the query too.
    """
    cursor = longest_cursor(channels)
    if cursor is None:
        return False
    fields = sum(len(name) + len(value) + 4 for name, value in headers if name != _ID_HEADER)
    return len(raw_path) + fields + len(_ID_HEADER) + cursor + _SPARE_BYTES <= max_head_bytes
