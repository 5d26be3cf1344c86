"""What a request for an event stream asks for, and whether it can be served (protocol.md, sections 4 and 6).

Pure: decides by headers and parameters; `endpoints` answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rtcli.protocol.paths import CURSOR_PARAMETER
from rtcli.protocol.position import cursor_key, longest_cursor
from rtcli_server.delivery.resumption import Resume, read_resume
from rtcli_server.headers import Headers, header_values

MEDIA_TYPE = "text/event-stream"
_RANGES = (MEDIA_TYPE, "text/*", "*/*")  # media ranges that cover it, the most specific one first
_ID_HEADER = b"last-event-id"
_SPARE_BYTES = 256  # for what differs between two requests for one stream, and for the ends of lines


def last_event_id(headers: Headers, parameters: Sequence[str]) -> str:
    """Return what a request resumes from, or "" for a new stream.

    That is the header `Last-Event-ID`, which a reconnecting browser sends, or else the parameter
    `last_event_id`, all of whose values are given. Several of one kind are one with ", " in it (RFC 9110,
    section 5.3), which is never a valid cursor.
    """
    fields = (value.decode("latin-1") for value in header_values(headers, _ID_HEADER))
    return ", ".join(filter(None, fields)) or ", ".join(filter(None, parameters))


def read_cursor(text: str, channels: Sequence[str], *, user_channel: str) -> Resume:
    """Read the cursor of a request for `channels`; `text` is "" when it has none.

    Positions of other channels are left out.
    """
    resume = read_resume(text, user_channel=user_channel)
    return resume._replace(cursor={name: at for name, at in resume.cursor.items() if name in channels})


def accepts_events(values: Sequence[str]) -> bool:
    """Whether the values of the `Accept` headers allow an event stream.

    RFC 9110, section 12.5.1: no header means anything, "the most specific reference has precedence", and a
    weight of 0 is "not acceptable". What is not a media range is ignored: only a client that surely cannot
    read a stream is refused.
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


def is_resumable(
    path: bytes, query: bytes, headers: Headers, channels: Sequence[str], *, max_head_bytes: int
) -> bool:
    """Whether this stream can be resumed with every cursor that it may reach, by the header or the parameter.

    A cursor has a size limit, and so has the head of the request that brings it. A browser that is refused
    for one of them gives up for ever, in the middle of a stream that it was admitted to. A request that has
    the parameter is repeated with both: a browser keeps the URL and adds the header.
    """
    cursor = longest_cursor(channels)
    if cursor is None:
        return False
    parts = query.split(b"&")
    others = [part for part in parts if part.partition(b"=")[0] != CURSOR_PARAMETER.encode()]
    fields = sum(len(name) + len(value) + 4 for name, value in headers if name != _ID_HEADER)
    by_header = len(_ID_HEADER) + cursor
    by_parameter = len(CURSOR_PARAMETER) + cursor + _escaping_bytes(channels)
    resuming = max(by_header, by_parameter) if len(others) == len(parts) else by_header + by_parameter
    return len(path) + len(b"&".join(others)) + fields + resuming + _SPARE_BYTES <= max_head_bytes


def _escaping_bytes(channels: Iterable[str]) -> int:
    """How much longer a cursor over these channels is as a parameter: `%`, `~`, `=` and `,` become `%XX`."""
    return sum(2 * (key.count("%") + key.count("~") + 2) for key in map(cursor_key, channels))
