"""Tokens as both sides know them: the claims of protocol.md section 2, and signing with a shared secret.

The server only verifies (`rtcli_server.auth`); tokens are made by whoever holds the secret: the command line
with the development key, the load tester for each of its users, an application's backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import jwt

MIN_SECRET_BYTES = 32  # RFC 7518, section 3.2: at least as many bits as the hash has
MAX_TOKEN_BYTES = 4096
MAX_USER_ID = 128  # characters


def is_valid_user_id(value: object) -> bool:
    """Whether `sub` may be that: a string (RFC 7519, 4.1.2) of 1-128 printable characters, not only spaces.

    `__proto__` is refused: as an id it would reach the prototype of a JavaScript client's objects.
    """
    return (
        isinstance(value, str)
        and 1 <= len(value) <= MAX_USER_ID
        and value.isprintable()
        and not value.isspace()
        and value != "__proto__"
    )


class RoomGrant(TypedDict):
    """One entry of the `rooms` claim: a glob, and of `join` and `publish` what is allowed there."""

    match: str
    can: list[str]


class Claims(TypedDict):
    """What a token says. `exp` and `iat` are in Unix seconds."""

    sub: str
    exp: int
    iat: int
    name: NotRequired[str]
    rooms: NotRequired[list[RoomGrant]]
    scope: NotRequired[str]
    aud: NotRequired[str]
    iss: NotRequired[str]


def create_token(
    secret: str,
    *,
    sub: str,
    now: float,
    ttl_s: float = 3600.0,
    name: str | None = None,
    rooms: Sequence[RoomGrant] | None = None,
    scope: str | None = None,
    audience: str | None = None,
    issuer: str | None = None,
) -> str:
    """Sign a token for `sub`, valid from `now` (Unix seconds) for `ttl_s`.

    `rooms` None means every room; `scope` is space-separated. Raises jwt.PyJWTError for a secret that PyJWT
    does not sign with; the minimum of 32 bytes is checked where secrets are read.
    """
    claims: Claims = {"sub": sub, "exp": int(now + ttl_s), "iat": int(now)}
    if name is not None:
        claims["name"] = name
    if rooms is not None:
        claims["rooms"] = list(rooms)
    if scope:
        claims["scope"] = scope
    if audience is not None:
        claims["aud"] = audience
    if issuer is not None:
        claims["iss"] = issuer
    payload: dict[str, Any] = {**claims}
    return jwt.encode(payload, secret, "HS256")
