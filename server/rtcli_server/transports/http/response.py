"""The head of a response, and how its body is framed (RFC 9112, section 6). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

from rtcli_server.problems import ProblemError

Fields = Iterable[tuple[bytes, bytes]]
_BAD_NAME = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class Framing(Enum):
    """How a client finds the end of a response's body."""

    NONE = "none"  # there is no body, whatever the head says
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"  # the end of the connection: HTTP/1.0 has no Transfer-Encoding


@dataclass(slots=True)
class ResponseHead:
    """An encoded head. `length` is the body's, for Framing.LENGTH. `keep_alive` is False: close after it."""

    data: bytes
    framing: Framing
    length: int
    keep_alive: bool


def encode_head(
    status: int, fields: Fields, *, method: str, http_version: str, keep_alive: bool
) -> ResponseHead:
    """Encode the head of a response to a request. Raises ValueError for a field that is none.

    The framing is decided here alone: RFC 9112, section 6.1: "A server MUST NOT send a response containing
    Transfer-Encoding unless the corresponding request indicates HTTP/1.1".
    """
    lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
    length: int | None = None
    connection: list[bytes] = []
    for name, value in fields:
        lower = name.lower()
        if _BAD_NAME.search(name) or _BAD_VALUE.search(value):
            raise ValueError(f"not a header field: {name!r}")
        if lower == b"connection":
            connection += [token.strip().lower() for token in value.split(b",")]
        elif lower != b"transfer-encoding":
            if lower == b"content-length":
                length = int(value)
            lines += (lower, b": ", value, b"\r\n")
    framing = _framing(status, length, method, http_version)
    if framing is Framing.CHUNKED:
        lines.append(b"transfer-encoding: chunked\r\n")
    if b"close" in connection or not keep_alive or framing is Framing.CLOSE:
        keep_alive = False
        if b"close" not in connection:
            connection.append(b"close")
    if connection:
        lines += (b"connection: ", b", ".join(connection), b"\r\n")
    lines.append(b"\r\n")
    return ResponseHead(b"".join(lines), framing, length or 0, keep_alive)


def _framing(status: int, length: int | None, method: str, http_version: str) -> Framing:
    if method == "HEAD" or status in {204, 304} or status < 200:
        return Framing.NONE
    if length is not None:
        return Framing.LENGTH
    return Framing.CHUNKED if http_version == "1.1" else Framing.CLOSE


def problem_bytes(problem: ProblemError) -> bytes:
    """Encode a whole response, after which the connection is closed."""
    body = problem.body()
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in problem.headers().items()]
    fields.append((b"content-length", b"%d" % len(body)))
    head = encode_head(problem.status, fields, method="GET", http_version="1.1", keep_alive=False)
    return head.data + body
