"""Finds the token in a request: the places where it may be, and their order (protocol.md, section 2).

A request with tokens in two places is refused, because its sender cannot know which one counts (RFC 6750,
section 2: "Clients MUST NOT use more than one method").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl

SUBPROTOCOL = "rt.v1"
COOKIE = "rt_token"
QUERY_PARAMETER = "token"
MAX_SUBPROTOCOLS = 16
_BEARER_PREFIX = "bearer."

GetHeader = Callable[[str], Sequence[str]]


class HandshakeError(ValueError):
    """A request that is refused with 400 before any other check. The text contains no token."""


class TwoTokensError(HandshakeError):
    """Tokens in more than one place."""

    def __init__(self) -> None:
        super().__init__("The token must be in one place only")


class SubprotocolError(HandshakeError):
    """A Sec-WebSocket-Protocol header that is not as described in section 2."""

    def __init__(self) -> None:
        super().__init__(f"Sec-WebSocket-Protocol must be a list of names; a token goes beside {SUBPROTOCOL}")


def find_token(
    get_header: GetHeader, query_string: str, *, websocket: bool, origin_allowed: bool
) -> str | None:
    """Return the token of a request, or None.

    `get_header(name)` returns all values of a header (name in lower case); `query_string` has no leading `?`.
    `origin_allowed`: the request has an `Origin` that is allowed. Without that, cookies are not read.
    Raises TwoTokensError, and SubprotocolError for a WebSocket.
    """
    found = _from_authorization(get_header("authorization"))
    if websocket:
        found += _from_subprotocols(get_header("sec-websocket-protocol"))
    if origin_allowed:
        found += _from_cookies(get_header("cookie"))
    if QUERY_PARAMETER in query_string:
        found += [value for name, value in parse_qsl(query_string) if name == QUERY_PARAMETER]
    if len(found) > 1:
        raise TwoTokensError
    return found[0] if found else None


def choose_subprotocol(values: Sequence[str]) -> str | None:
    """Return the subprotocol to answer with: `rt.v1` when it was offered. A token is never echoed."""
    return SUBPROTOCOL if SUBPROTOCOL in _split(values) else None


def _from_authorization(values: Sequence[str]) -> list[str]:
    """RFC 6750, section 2.1: `Bearer` (in any case, RFC 9110, 11.1), spaces, the token."""
    found = []
    for value in values:
        scheme, _, token = value.strip(" \t").partition(" ")
        if scheme.lower() == "bearer" and token.strip(" "):
            found.append(token.strip(" "))
    return found


def _split(values: Sequence[str]) -> list[str]:
    return [item.strip(" \t") for value in values for item in value.split(",")]


def _from_subprotocols(values: Sequence[str]) -> list[str]:
    """`rt.v1, bearer.<token>`: a pair, because a server must echo one item, and never the token."""
    items = _split(values)
    if len(items) > MAX_SUBPROTOCOLS or not all(item and item.isascii() for item in items):
        raise SubprotocolError
    tokens = [item[len(_BEARER_PREFIX) :] for item in items if item.startswith(_BEARER_PREFIX)]
    if tokens and SUBPROTOCOL not in items:
        raise SubprotocolError
    return tokens


def _from_cookies(values: Sequence[str]) -> list[str]:
    found = []
    for value in values:
        for pair in value.split(";"):
            name, equals, token = pair.strip(" \t").partition("=")
            if equals and name == COOKIE and token:
                found.append(token)
    return found
