"""The body of a request: a length, or chunks (RFC 9112, sections 6 and 7.1). Pure.

A body takes what belongs to it from the front of a buffer, and leaves the rest: that is the next request.
Every line of the chunked coding has a limit, and so has all of it that is not content. Trailer fields are
read and dropped (RFC 9110, section 6.5.1: they must not be taken for header fields).
"""

from __future__ import annotations

import re
from typing import Protocol

from rtcli_server.problems import ProblemError

MAX_LINE = 4_096  # bytes of a size with its extensions, and of a trailer field
MAX_OVERHEAD = 16_384  # bytes of all sizes, extensions and trailers of one body,
OVERHEAD_PER_BYTE = 1  # and this many for each byte of content: many small chunks are a lot of work
MAX_CHUNK = 2**60
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")


class Body(Protocol):
    """A body that is being read. `done` is True after its last byte."""

    done: bool

    def take(self, buffer: bytearray) -> bytes:
        """Remove what the buffer has of this body, and return the content in it. Raises ProblemError."""
        ...


class SizedBody:
    """A body of `size` bytes, at least 1."""

    __slots__ = ("_left", "done")

    def __init__(self, size: int) -> None:
        self._left = size
        self.done = False

    def take(self, buffer: bytearray) -> bytes:
        """Remove and return what the buffer has of this body."""
        data = bytes(buffer[: self._left])
        del buffer[: len(data)]
        self._left -= len(data)
        self.done = not self._left
        return data


class ChunkedBody:
    """A body in the chunked coding."""

    __slots__ = ("_chunk_left", "_line_end_due", "_overhead_left", "_scanned", "_trailing", "done")

    def __init__(self) -> None:
        self._chunk_left = 0  # bytes of the chunk that are still to come
        self._line_end_due = False  # after the data of a chunk
        self._trailing = False  # after the last chunk
        self._overhead_left = MAX_OVERHEAD
        self._scanned = 0  # bytes of the buffer that contain no end of line
        self.done = False

    def take(self, buffer: bytearray) -> bytes:
        """Remove what the buffer has of this body; return the content. Raises ProblemError (400, 431)."""
        content = bytearray()
        position = 0
        while not self.done:
            if self._chunk_left:
                data = buffer[position : position + self._chunk_left]
                if not data:
                    break
                content += data
                position += len(data)
                self._chunk_left -= len(data)
                self._overhead_left += OVERHEAD_PER_BYTE * len(data)
                self._line_end_due = not self._chunk_left
                continue
            line = self._line(buffer, position)
            if line is None:
                break
            position += len(line) + 2
            self._on_line(line)
        del buffer[:position]
        return bytes(content)

    def _line(self, buffer: bytearray, start: int) -> bytes | None:
        """Return the line at `start` without its end; None before its end has come. Raises ProblemError."""
        end = buffer.find(b"\r\n", start + self._scanned, start + MAX_LINE + 2)
        size = (end if end >= 0 else len(buffer)) - start
        if size > MAX_LINE or (end < 0 and size > self._overhead_left):
            raise ProblemError(431, detail="A line between the chunks is too long")
        if end < 0:
            self._scanned = max(0, size - 1)  # a CR may be the last byte
            return None
        self._scanned = 0
        self._overhead_left -= size + 2
        if self._overhead_left < 0:
            raise ProblemError(431, detail="Too much between the chunks")
        return bytes(buffer[start:end])

    def _on_line(self, line: bytes) -> None:
        if self._line_end_due:
            if line:
                raise _bad_chunks()
            self._line_end_due = False
        elif self._trailing:
            if not line:
                self.done = True
            elif _TRAILER.fullmatch(line) is None:
                raise _bad_chunks()
        else:
            found = _SIZE.fullmatch(line)
            self._chunk_left = int(found[1], 16) if found is not None else MAX_CHUNK + 1
            if self._chunk_left > MAX_CHUNK:
                raise _bad_chunks()
            self._trailing = not self._chunk_left


def _bad_chunks() -> ProblemError:
    return ProblemError(400, detail="The body is not in the chunked coding")
