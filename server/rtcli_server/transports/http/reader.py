"""Reads the requests of one connection, one at a time, from the bytes that come in. Pure.

Nothing is parsed ahead: what follows a request stays bytes until the next one is asked for.
"""

from __future__ import annotations

import re

from rtcli_server.problems import ProblemError
from rtcli_server.transports.http.body import Body, ChunkedBody, SizedBody
from rtcli_server.transports.http.head import NOT_HTTP, Head, check_request_line, parse_head

_NOT_IN_LINE = re.compile(rb"[^\r\x20-\x7e]")  # not in a request line, nor between it and the next one


class RequestReader:
    """The input of one connection: `feed`, then `next_head`, then `take_body` until `in_body` is False.

    A head has at most `max_bytes` bytes and `max_fields` fields. Methods raise ProblemError for what breaks a
    limit or is not HTTP/1.1; after that, nothing of the connection can be understood any more.
    """

    __slots__ = ("_body", "_buffer", "_max_bytes", "_max_fields", "_scanned")

    def __init__(self, max_bytes: int, max_fields: int) -> None:
        self._max_bytes = max_bytes
        self._max_fields = max_fields
        self._buffer = bytearray()
        self._body: Body | None = None
        self._scanned = 0  # bytes of the buffer that contain no end of a head

    @property
    def waiting_bytes(self) -> int:
        """Number of bytes that were not parsed yet."""
        return len(self._buffer)

    @property
    def in_body(self) -> bool:
        """Whether the body of the last head has not come whole."""
        return self._body is not None

    def feed(self, data: bytes | memoryview) -> None:
        """Take what has come."""
        self._buffer += data

    def forget(self) -> None:
        """Drop what was not parsed."""
        self._buffer.clear()

    def next_head(self) -> Head | None:
        """Return the next head, or None when it has not come whole.

        Raises ProblemError (400, 414, 431, 501, 505).
        """
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):  # RFC 9112, section 2.2: empty lines before a request are ignored
            del buffer[:2]
            self._scanned = 0
        end = buffer.find(b"\r\n\r\n", self._scanned, self._max_bytes)
        if end < 0:
            self._check_beginning()
            self._scanned = max(0, len(buffer) - 3)
            return None
        data = bytes(buffer[: end + 4])
        del buffer[: end + 4]
        self._scanned = 0
        head = parse_head(data, self._max_fields)
        if head.chunked:
            self._body = ChunkedBody()
        elif head.content_length:
            self._body = SizedBody(head.content_length)
        return head

    def _check_beginning(self) -> None:
        """Refuse a head that is not complete as soon as it can be: its end may never come."""
        line_end = self._buffer.find(b"\r\n", 0, self._max_bytes)
        if line_end >= 0:
            check_request_line(bytes(self._buffer[:line_end]))
        elif _NOT_IN_LINE.search(self._buffer, self._scanned, self._max_bytes):
            raise ProblemError(400, detail=NOT_HTTP)
        if len(self._buffer) >= self._max_bytes:
            if line_end < 0:
                raise ProblemError(414, detail="The request line is too long")
            raise ProblemError(431, detail="The request headers are too large")

    def drop_body(self) -> bool:
        """Drop what has come of the body; return whether it can be understood."""
        try:
            self.take_body()
        except ProblemError:
            return False
        return True

    def take_body(self) -> bytes:
        """Return what has come of the body, without its framing. Raises ProblemError (400, 431)."""
        if self._body is None:
            return b""
        data = self._body.take(self._buffer)
        if self._body.done:
            self._body = None
        return data
