"""The HTTP/1.1 side of an event stream: a request written out, a response head, a body without its framing.

RFC 9112: status line and fields (4, 5), chunked transfer coding (7.1), body length (6.3). Only what a client
of event streams needs, but that strictly: what is not HTTP is an error, not a guess. No socket here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MAX_HEAD = 65_536
_MAX_SIZE_LINE = 4_096  # of a chunk, with its extensions
_MAX_LENGTH_DIGITS = 18
_MAX_INTERIM = 16  # responses with 1xx before the real one
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*?)[ \t]*")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")


class HttpError(Exception):
    """The other side does not speak HTTP/1.1 as a server of event streams does."""


def encode_request(target: str, host: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """A GET request. Raises ValueError for fields that would break out of theirs."""
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}"]
    for name, value in fields:
        if "\r" in value or "\n" in value or "\0" in value:
            raise ValueError(f"header field {name} must not contain line breaks")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode()


class ResponseReader:
    """Takes bytes as they come; `status` and `fields` are set when the head is complete."""

    def __init__(self) -> None:
        self.status = 0
        self.fields: Mapping[str, str] = {}
        self.done = False  # the body has ended by its own framing
        self._buffer = b""
        self._interim = 0
        self._chunked = False
        self._left: int | None = None  # of the body, or of the chunk; None: until the connection closes

    @property
    def may_end(self) -> bool:
        """Whether the body is complete when the connection is closed now (RFC 9112, 8)."""
        return self.done or (bool(self.status) and not self._chunked and self._left is None)

    def feed(self, data: bytes) -> bytes:
        """Take bytes; return what of them is body. Raises HttpError."""
        if not self.status:
            return self._feed_head(data)
        return self._feed_chunked(data) if self._chunked else self._feed_plain(data)

    def _feed_head(self, data: bytes) -> bytes:
        self._buffer += data
        while True:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if len(head) > MAX_HEAD:
                raise HttpError(f"a response head of more than {MAX_HEAD} bytes")
            if not end:
                if not b"HTTP/1.".startswith(self._buffer[:7]):
                    raise HttpError("the answer is not HTTP")
                return b""
            self._buffer = rest
            self._read_head(head)
            if self.status:
                break
        self._buffer = b""
        return self.feed(rest) if rest else b""

    def _read_head(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        match = _STATUS.fullmatch(first)
        if match is None:
            raise HttpError("the answer is not HTTP")
        fields: dict[str, str] = {}
        for line in lines:
            field = _FIELD.fullmatch(line)
            if field is None:
                raise HttpError("a header field that cannot be read")
            fields[field[1].decode().lower()] = field[2].decode("latin-1")
        status = int(match[1])
        if 100 <= status < 200:  # interim responses come before the real one
            self._interim += 1
            if self._interim > _MAX_INTERIM:
                raise HttpError(f"more than {_MAX_INTERIM} interim responses")
            return
        self.status, self.fields = status, fields
        coding = fields.get("transfer-encoding", "").strip().lower()
        if coding not in {"", "identity", "chunked"}:
            raise HttpError(f"the transfer coding {coding!r}, which was not asked for")
        self._chunked = coding == "chunked"
        length = fields.get("content-length")
        if length is not None and not self._chunked:
            if not (length.isdecimal() and len(length) <= _MAX_LENGTH_DIGITS):
                raise HttpError("a Content-Length that is no number")
            self._left = int(length)
        if self._left == 0 or self.status in {204, 304}:
            self.done = True

    def _feed_plain(self, data: bytes) -> bytes:
        if self.done:
            return b""
        if self._left is None:
            return data
        data = data[: self._left]
        self._left -= len(data)
        self.done = self._left == 0
        return data

    def _feed_chunked(self, data: bytes) -> bytes:
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        body: list[bytes] = []
        at = 0
        while at < len(data) and not self.done:
            if self._left:
                piece = data[at : at + self._left]
                body.append(piece)
                self._left -= len(piece)
                at += len(piece)
                continue
            size, at = self._chunk_size(data, at)
            if size is None:
                break
            self._left = size
            self.done = size == 0  # trailers are of no interest
        return body[0] if len(body) == 1 else b"".join(body)

    def _chunk_size(self, data: bytes, at: int) -> tuple[int | None, int]:
        """The size in the next size line, and where the chunk begins; None when the line is not complete."""
        start = at
        if self._left == 0:  # the line end that closes the chunk before
            if len(data) - at < 2:
                self._buffer = data[start:]
                return None, at
            if data[at : at + 2] != b"\r\n":
                raise HttpError("a chunk that does not end where it should")
            at += 2
        end = data.find(b"\r\n", at)
        if end < 0:
            if len(data) - at > _MAX_SIZE_LINE:
                raise HttpError("a chunk size that does not end")
            self._buffer = data[start:]
            return None, at
        match = _SIZE.fullmatch(data, at, end)
        if match is None:
            raise HttpError("a chunk size that is no number")
        return int(match[1], 16), end + 2
