"""From the claims of a verified token to a Principal: who it is and what it may do (protocol.md, section 2).

Pure: the time is an argument. This refuses what the JWT library accepts: a token that never expires (`exp`
far away, as text, not finite), a `sub` that is empty, huge or not printable, a malformed claim for rights.
A token with a claim that cannot be understood is refused; such a claim never means "no limits".
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

from rtcli.protocol.names import MAX_NAME_CHARACTERS, is_blank
from rtcli.protocol.position import USER_PREFIX
from rtcli.protocol.tokens import is_token_id, is_valid_user_id

UNKNOWN_NAME = "Unknown"
# Ten years. More is a mistake: milliseconds instead of seconds, or "never".
MAX_LIFETIME_S = 10 * 366 * 86_400.0

# RFC 8725, section 3.11, and RFC 9068, section 2.1: a token of an explicit other type is refused.
_TOKEN_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_OTHER_KINDS = frozenset({"id", "refresh"})
_KIND_CLAIMS = ("typ", "type", "token_use")  # Keycloak, many home-made issuers, Cognito


class ClaimError(Exception):
    """A verified token whose claims are not accepted. The text is one word, for the log only."""


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    # Only * and ? are wildcards: a room name may contain brackets. The pattern of translate() matches in
    # linear time.
    return re.compile(translate(pattern.replace("[", "[[]")))


@dataclass(frozen=True, slots=True)
class Grant:
    """One entry of the `rooms` claim: the actions allowed in rooms that match an NFC glob (`*` and `?`)."""

    match: str
    can: frozenset[str]

    def allows(self, action: str, room: str) -> bool:
        """Whether this entry grants `join` or `publish` in `room`."""
        return action in self.can and (self.match == "*" or _glob(self.match).match(room) is not None)


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a valid token. `expires_at` and `issued_at` are in Unix seconds.

    `grants` None means every room; `token_id` is the token's own name (`jti`), when it has one.
    """

    user_id: str
    name: str
    expires_at: float
    scopes: frozenset[str] = frozenset()
    grants: tuple[Grant, ...] | None = None
    token_id: str | None = None
    issued_at: float | None = None

    @property
    def is_admin(self) -> bool:
        """Whether the token has the scope `admin`, which allows everything."""
        return "admin" in self.scopes

    @property
    def can_publish_events(self) -> bool:
        """Whether events may be published to users and to everyone (scope `publish`)."""
        return "publish" in self.scopes or "admin" in self.scopes

    @property
    def channel(self) -> str:
        """The channel of this user's personal events."""
        return USER_PREFIX + self.user_id

    def can_join(self, room: str) -> bool:
        """Whether this user may join, follow and read the history of `room`."""
        return self._granted("join", room)

    def can_publish(self, room: str) -> bool:
        """Whether this user may publish in `room`."""
        return self._granted("publish", room)

    def _granted(self, action: str, room: str) -> bool:
        if self.grants is None or "admin" in self.scopes:
            return True
        return any(grant.allows(action, room) for grant in self.grants)


def principal_from_claims(
    claims: Mapping[str, object],
    header: Mapping[str, object],
    *,
    now: float,
    leeway_s: float,
    max_lifetime_s: float = MAX_LIFETIME_S,
) -> Principal:
    """Apply the claim rules to a token whose signature, `aud` and `iss` were verified.

    `now` is in Unix seconds. Raises ClaimError.
    """
    _check_kind(claims, header)
    expires_at = _check_times(claims, now, leeway_s, max_lifetime_s)
    return Principal(
        user_id=_subject(claims.get("sub")),
        name=_display_name(claims),
        expires_at=expires_at,
        scopes=_scopes(claims.get("scope")),
        grants=_grants(claims.get("rooms")) if "rooms" in claims else None,
        token_id=_token_id(claims["jti"]) if "jti" in claims else None,
        issued_at=_number(claims["iat"], "iat") if "iat" in claims else None,
    )


def _check_kind(claims: Mapping[str, object], header: Mapping[str, object]) -> None:
    kind = header.get("typ")
    if kind is not None and not (isinstance(kind, str) and kind.lower() in _TOKEN_TYPES):
        raise ClaimError("typ")
    for claim in _KIND_CLAIMS:
        value = claims.get(claim)
        if isinstance(value, str) and value.lower() in _OTHER_KINDS:
            raise ClaimError("typ")


def _check_times(claims: Mapping[str, object], now: float, leeway_s: float, max_lifetime_s: float) -> float:
    """RFC 7519, 4.1.4-4.1.6: `exp` is in the future, `nbf` and `iat` are not, each within the leeway."""
    expires_at = _number(claims.get("exp"), "exp")
    if expires_at <= now - leeway_s:
        raise ClaimError("expired")
    if expires_at > now + max_lifetime_s:
        raise ClaimError("exp")
    for claim in ("nbf", "iat"):
        if claim in claims and _number(claims[claim], claim) > now + leeway_s:
            raise ClaimError(claim)
    return expires_at


def _number(value: object, claim: str) -> float:
    # RFC 7519, 2: a NumericDate is a JSON number. In Python a bool is an int too.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ClaimError(claim)
    try:
        number = float(value)
    except OverflowError:
        raise ClaimError(claim) from None
    if not math.isfinite(number) or number < 0:
        raise ClaimError(claim)
    return number


def _subject(value: object) -> str:
    if not is_valid_user_id(value):
        raise ClaimError("sub")
    return str(value)


def _token_id(value: object) -> str:
    # RFC 7519, 4.1.7: a string. One that no revocation could name would make the token one that stays valid.
    if not is_token_id(value):
        raise ClaimError("jti")
    return str(value)


def _display_name(claims: Mapping[str, object]) -> str:
    """Return `name`, else `email`, as it may be shown."""
    for claim in ("name", "email"):
        value = claims.get(claim)
        shown = showable(value) if isinstance(value, str) else None
        if shown is not None:
            return shown
    return UNKNOWN_NAME


def showable(name: str) -> str | None:
    """Return a display name without characters that must not reach a screen: controls, bidi marks.

    None when nothing is left that can be seen.
    """
    shown = "".join(filter(str.isprintable, name)).strip()[:MAX_NAME_CHARACTERS].rstrip()
    return None if is_blank(shown) else shown


def _scopes(value: object) -> frozenset[str]:
    # RFC 8693, 4.2: a string of words separated by spaces.
    if value is None:
        return frozenset()
    if not isinstance(value, str):
        raise ClaimError("scope")
    return frozenset(value.split())


def _grants(value: object) -> tuple[Grant, ...]:
    if not isinstance(value, list):
        raise ClaimError("rooms")
    return tuple(map(_grant, value))


def _grant(entry: object) -> Grant:
    if not isinstance(entry, dict):
        raise ClaimError("rooms")
    match, can = entry.get("match"), entry.get("can")
    if not isinstance(match, str) or not isinstance(can, list):
        raise ClaimError("rooms")
    if not all(isinstance(word, str) for word in can):
        raise ClaimError("rooms")
    return Grant(unicodedata.normalize("NFC", match), frozenset(can))
