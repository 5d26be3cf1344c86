"""Server-Sent Events, both ways: WHATWG HTML, section 9.2 (protocol.md, section 4).

`SSEParser` follows section 9.2.6, "Interpreting an event stream", to the letter, with two limits that the
standard allows: on the length of a line and on the data of one event.
"""

from __future__ import annotations

import re

from msgspec import Struct

MAX_LINE_BYTES = 65_536
MAX_EVENT_BYTES = 1_048_576
MAX_RETRY_MS = 2**53 - 1  # larger values are cut to it

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")  # bytes.splitlines() would drop the last empty line


# -- writing -----------------------------------------------------------------------------------------------


def encode_event(
    *,
    id: str | None = None,  # noqa: A002 - the field's name on the wire
    event: str | None = None,
    data: str | bytes | None = None,
    retry_ms: int | None = None,
) -> bytes:
    """Encode one event, including the empty line that ends it.

    `data` is split at CR, LF and CRLF into one field per line, so that nothing in it can be taken for another
    field; the reader gets LF for each. Without `data` the reader dispatches nothing, but takes `id` and
    `retry_ms`. Raises ValueError for CR, LF or NUL in `id` or `event`, and for a negative `retry_ms`.
    """
    parts: list[bytes] = []
    if retry_ms is not None:
        if retry_ms < 0:
            raise ValueError("retry_ms must not be negative")
        parts.append(b"retry: %d\n" % retry_ms)
    if id is not None:
        parts.append(b"id: %b\n" % _single_line("id", id))
    if event is not None:
        parts.append(b"event: %b\n" % _single_line("event", event))
    if data is not None:
        raw = data.encode() if isinstance(data, str) else data
        parts.extend(b"data: %b\n" % line for line in _LINE_END.split(raw))
    parts.append(b"\n")
    return b"".join(parts)


def _single_line(field: str, value: str) -> bytes:
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError(f"{field} must not contain CR, LF or NUL")
    return value.encode()


# -- reading -----------------------------------------------------------------------------------------------


class ServerSentEvent(Struct, frozen=True):
    """A dispatched event. `id` is the stream's last event id at that moment: its own or an earlier one."""

    event: str
    data: str
    id: str


class SSELimitError(Exception):
    """A line or an event is longer than the parser's limit."""


class SSEParser:
    """Turns the bytes of an event stream, in pieces of any size, into events.

    `last_event_id` and `retry_ms` (None until the stream sets it) are what a client reconnects with. They
    survive `end()`, as they do in browsers, so one parser can read one stream after the other; set
    `last_event_id` to resume from a known position.
    """

    def __init__(
        self, *, max_line_bytes: int = MAX_LINE_BYTES, max_event_bytes: int = MAX_EVENT_BYTES
    ) -> None:
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self._max_line = max_line_bytes
        self._max_event = max_event_bytes
        self._start_stream()

    def _start_stream(self) -> None:
        self._tail: list[bytes] = []  # of a line whose end has not come yet
        self._tail_size = 0
        self._after_cr = False
        self._at_start = True
        self._failure: SSELimitError | None = None
        self._start_event()

    def _start_event(self) -> None:
        self._data: list[bytes] = []
        self._data_size = 0
        self._event = b""
        self._id: str | None = None

    def end(self) -> None:
        """End the stream: "any pending data must be discarded".

        The next bytes start a new stream. Raises SSELimitError if this one had exceeded a limit.
        """
        failure = self._failure
        self._start_stream()
        if failure is not None:
            raise failure

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Parse the next bytes and return the events that they complete.

        Raises SSELimitError when the stream exceeds a limit. Events before that are returned first; then the
        error is raised at the next call. The rest of the stream cannot be parsed.
        """
        events: list[ServerSentEvent] = []
        if self._failure is None:
            self._interpret(self._complete_lines(chunk), events)
        if self._failure is not None and not events:
            raise self._failure
        return events

    def _complete_lines(self, chunk: bytes) -> list[bytes]:
        """Split off all complete lines (ended by CR, LF or CRLF), and keep the rest."""
        if self._after_cr and chunk:
            # The line has ended with the CR; an LF right after it belongs to it.
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\n" not in chunk and b"\r" not in chunk:
            self._keep(chunk)
            return []
        if self._tail:
            chunk = b"".join((*self._tail, chunk))
            self._tail.clear()
            self._tail_size = 0
        lines = chunk.splitlines()  # of bytes: at CR, LF and CRLF only
        if chunk.endswith(b"\r"):
            self._after_cr = True
        elif not chunk.endswith(b"\n"):
            self._keep(lines.pop())
        if len(chunk) > self._max_line:
            lines = self._before_too_long(lines)
        if self._at_start and lines:
            # As the standard says: "UTF-8 decode strips one leading UTF-8 Byte Order Mark (BOM), if any".
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BOM)
        return lines

    def _keep(self, rest: bytes) -> None:
        if rest:
            self._tail.append(rest)
            self._tail_size += len(rest)
            if self._tail_size > self._max_line:
                self._failure = SSELimitError(f"a line of more than {self._max_line} bytes")

    def _before_too_long(self, lines: list[bytes]) -> list[bytes]:
        for index, line in enumerate(lines):
            if len(line) > self._max_line:
                self._failure = SSELimitError(f"a line of more than {self._max_line} bytes")
                return lines[:index]
        return lines

    def _interpret(self, lines: list[bytes], events: list[ServerSentEvent]) -> None:
        for line in lines:
            if not line:
                self._dispatch(events)  # "If the line is empty (a blank line): Dispatch the event"
                continue
            # A line without a colon is a name with an empty value; one that begins with a colon is a comment.
            name, _, value = line.partition(b":")
            if value[:1] == b" ":
                value = value[1:]
            if name == b"data":
                self._data.append(value)
                self._data_size += len(value) + 1
                if self._data_size > self._max_event:
                    self._failure = SSELimitError(f"an event of more than {self._max_event} bytes")
                    return
            elif name == b"id":
                # "If the field value does not contain U+0000 NULL"
                if b"\0" not in value:
                    self._id = value.decode("utf-8", "replace")
            elif name == b"event":
                self._event = value
            elif name == b"retry" and value.isdigit():
                # "consists of only ASCII digits": isdigit() of bytes; it is false for no digits at all
                digits = value.lstrip(b"0") or b"0"
                self.retry_ms = min(int(digits), MAX_RETRY_MS) if len(digits) <= 16 else MAX_RETRY_MS

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        # "Set the last event ID string … to the value of the last event ID buffer", also without data.
        if self._id is not None:
            self.last_event_id = self._id
        # "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty
        # string and return." One `data` field without value is not that: the buffer holds its LF.
        if self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            event = self._event.decode("utf-8", "replace") or "message"
            events.append(ServerSentEvent(event, data.decode("utf-8", "replace"), self.last_event_id))
        self._start_event()
