"""Finds the token in a request: the places where it may be, and their order (protocol.md, section 2).

What a client says outright (header, subprotocol, query) goes before the cookie, which a browser adds by
itself: a page whose event streams need the cookie may open its WebSockets with a token of their own. Tokens
that differ are refused, because nobody can know which one counts (RFC 6750, section 2: "Clients MUST NOT use
more than one method").
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
    """Two tokens that differ."""

    def __init__(self) -> None:
        super().__init__("The request has two tokens that differ")


class SubprotocolError(HandshakeError):
    """A Sec-WebSocket-Protocol header that is not as described in section 2."""

    def __init__(self) -> None:
        super().__init__(f"Sec-WebSocket-Protocol must be a list of names; a token goes beside {SUBPROTOCOL}")


def find_token(
    get_header: GetHeader, query_string: str, *, websocket: bool, origin_allowed: bool
) -> str | None:
    """Return the token of a request, or None. An outright token may be empty, which is no valid token.

    `get_header(name)` returns all values of a header (name in lower case); `query_string` has no leading `?`.
    `origin_allowed`: the request has an `Origin` that is allowed. Without that, cookies are not read; nor are
    they beside an outright token, even if that one is bad.
    Raises TwoTokensError, and SubprotocolError for a WebSocket.
    """
    outright = _from_authorization(get_header("authorization"))
    if websocket:
        outright += _from_subprotocols(get_header("sec-websocket-protocol"))
    if QUERY_PARAMETER in query_string:
        pairs = parse_qsl(query_string, keep_blank_values=True)
        outright += [value for name, value in pairs if name == QUERY_PARAMETER]
    if outright:
        return _the_one(outright)
    cookies = _from_cookies(get_header("cookie")) if origin_allowed else []
    return _the_one(cookies) if cookies else None


def _the_one(tokens: Sequence[str]) -> str:
    """Return the token that all of these are. Raises TwoTokensError."""
    if len(set(tokens)) > 1:
        raise TwoTokensError
    return tokens[0]


def choose_subprotocol(values: Sequence[str]) -> str | None:
    """Return the subprotocol to answer with: `rt.v1` when it was offered. A token is never echoed."""
    return SUBPROTOCOL if SUBPROTOCOL in _split(values) else None


def _from_authorization(values: Sequence[str]) -> list[str]:
    """RFC 6750, section 2.1: `Bearer` (in any case, RFC 9110, 11.1), spaces, the token."""
    parts = (value.strip(" \t").partition(" ") for value in values)
    return [token.strip(" ") for scheme, _, token in parts if scheme.lower() == "bearer"]


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
