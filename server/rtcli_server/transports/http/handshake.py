"""Checks the opening handshake of RFC 6455, section 4.2.1, in an HTTP/1.1 upgrade request. Pure.

A request that is not a valid WebSocket handshake is refused with an HTTP status before every other check; the
answers are those of docs/protocol.md, section 3.
"""

from __future__ import annotations

import binascii
from base64 import b64decode

from rtcli_server.headers import Headers, header_values
from rtcli_server.problems import ProblemError

VERSION = "13"
# For a parser that only has to answer a request which was parsed and checked before; with its key.
PLAIN_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n"
)


def _tokens(headers: Headers, name: bytes) -> set[bytes]:
    """Return the elements of a list-valued header, in lower case (RFC 9110, section 5.6.1)."""
    return {
        item.strip(b" \t").lower() for value in header_values(headers, name) for item in value.split(b",")
    }


def is_websocket_upgrade(headers: Headers) -> bool:
    """Whether the client asks for a WebSocket."""
    return b"websocket" in _tokens(headers, b"upgrade") and b"upgrade" in _tokens(headers, b"connection")


def check_handshake(headers: Headers) -> ProblemError | None:
    """Return what is wrong with an upgrade request, or None when it is valid.

    Section 4.2.1: a GET request of HTTP/1.1 with a Host (the caller checks these), Sec-WebSocket-Version 13
    and a Sec-WebSocket-Key that decodes to 16 bytes. Section 4.4: a server that does not support the version
    answers with the ones it supports.
    """
    if header_values(headers, b"sec-websocket-version") != [VERSION.encode()]:
        return upgrade_required("This server speaks WebSocket version 13")
    if not _is_key(header_values(headers, b"sec-websocket-key")):
        return ProblemError(400, detail="Sec-WebSocket-Key must stand once and hold 16 bytes in base64")
    return None


def upgrade_required(detail: str | None = None) -> ProblemError:
    """Ask for a WebSocket. RFC 9110, section 7.8: with Upgrade, the connection option `upgrade` is a must."""
    fields = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": VERSION}
    return ProblemError(426, detail=detail, headers=fields)


def _is_key(found: list[bytes]) -> bool:
    if len(found) != 1:
        return False
    try:
        return len(b64decode(found[0], validate=True)) == 16
    except binascii.Error:
        return False
