"""Tokens: the claims of protocol.md section 2, and signing with a shared secret.

The server only verifies tokens (`rtcli_server.auth`). They are signed by whoever has the secret: the command
line with the development key, the load tester for each of its users, an application's backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict, TypeGuard

import jwt

from rtcli.protocol.names import DOT_SEGMENTS, is_blank

MIN_SECRET_BYTES = 32  # RFC 7518, section 3.2: at least as many bits as the hash has
MAX_TOKEN_BYTES = 4096
LEEWAY_S = 5.0  # by which the clocks of who signs and who verifies may differ
SCOPES = ("publish", "admin")  # events over HTTP; everything
MAX_USER_ID = 128  # characters
MAX_TOKEN_ID = 256  # characters
MAX_STAY_AWAY_S = 30 * 86_400.0  # of a kick: it cannot be taken back


def is_valid_user_id(value: object) -> bool:
    """Whether `value` is a valid `sub`: a string (RFC 7519, 4.1.2) of 1-128 printable characters.

    It must not be blank, nor `.` or `..`. `__proto__` is refused: as an id it would reach the prototype of a
    JavaScript client's objects.
    """
    return (
        isinstance(value, str)
        and 1 <= len(value) <= MAX_USER_ID
        and value.isprintable()
        and not is_blank(value)
        and value != "__proto__"
        and value not in DOT_SEGMENTS
    )


def is_token_id(value: object) -> TypeGuard[str]:
    """Whether `value` is a valid `jti`: a string (RFC 7519, 4.1.7) of 1-256 printable characters."""
    return isinstance(value, str) and 1 <= len(value) <= MAX_TOKEN_ID and value.isprintable()


class RoomGrant(TypedDict):
    """One entry of the `rooms` claim: a glob, and which of `join` and `publish` it allows there."""

    match: str
    can: list[str]


class Claims(TypedDict):
    """The claims of a token. `exp` and `iat` are in Unix seconds."""

    sub: str
    exp: int
    iat: int
    name: NotRequired[str]
    rooms: NotRequired[list[RoomGrant]]
    scope: NotRequired[str]
    aud: NotRequired[str]
    iss: NotRequired[str]
    jti: NotRequired[str]


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
    token_id: str | None = None,
) -> str:
    """Sign a token for `sub`, valid from `now` (Unix seconds) for `ttl_s`.

    `rooms` None means every room; `scope` is space-separated; `token_id` (`jti`) is the
    name by which it can be revoked. Raises jwt.PyJWTError for a secret that PyJWT
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
    if token_id is not None:
        claims["jti"] = token_id
    payload: dict[str, Any] = {**claims}
    return jwt.encode(payload, secret, "HS256")
