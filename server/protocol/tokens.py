"""Making tokens: the claims of protocol.md section 2, signed with a shared secret (HS256).

The server only verifies (`server/auth.py`); tokens are made by whoever holds the secret: the command line
with the development key, the load tester for each of its users, an application's backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import jwt


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
