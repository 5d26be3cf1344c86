"""The report of `rtcli token inspect` about a token, without the token itself. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt

from rtcli.errors import CliError
from rtcli.protocol.jose import parse_part
from rtcli.protocol.messages.strict_json import DoubledNameError, NotAcceptedError
from rtcli.protocol.tokens import LEEWAY_S
from rtcli.units import format_duration

MAX_EXP = 2.0**53  # beyond this it cannot be a date
_MAX_INT = 2**63  # the largest that every JSON encoder writes


@dataclass(frozen=True, slots=True)
class Key:
    """A secret to verify with, and its name."""

    name: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenReport:
    """A token's header and claims, and which key verified its signature."""

    header: dict[str, Any]
    claims: dict[str, Any]
    tried: tuple[str, ...]
    verified_with: str | None
    now: float

    @property
    def expires_in_s(self) -> float | None:
        """Seconds until it expires, negative afterwards; None without a valid claim `exp`."""
        return self._seconds_until("exp")

    def _seconds_until(self, claim: str) -> float | None:
        at = self.claims.get(claim)
        if isinstance(at, bool) or not isinstance(at, int | float) or not abs(at) < MAX_EXP:
            return None
        return at - self.now

    @property
    def is_expired(self) -> bool:
        """Whether servers refuse it for its age: LEEWAY_S after `exp`; without `exp` always."""
        left = self.expires_in_s
        return left is None or left <= -LEEWAY_S

    @property
    def is_early(self) -> bool:
        """Whether servers refuse it because `nbf` or `iat` is still to come, by more than LEEWAY_S."""
        return any((self._seconds_until(claim) or 0.0) > LEEWAY_S for claim in ("nbf", "iat"))

    def record(self) -> dict[str, object]:
        """The report as one JSON object."""
        return {
            "type": "token",
            "header": _writable(self.header),
            "claims": _writable(self.claims),
            "expires_in_s": self.expires_in_s,
            "expired": self.is_expired,
            "early": self.is_early,
            "leeway_s": LEEWAY_S,
            "verified": self.verified_with is not None if self.tried else None,
            "key": self.verified_with,
        }

    def lines(self) -> list[str]:
        """The report for a person."""
        rows = [
            ("user", self._text("sub") or "none: no server takes this"),
            ("name", self._text("name") or self._text("email") or "Unknown"),
            ("rooms", self._rooms()),
            ("scope", self._text("scope") or "none"),
            ("audience", self._text("aud")),
            ("issuer", self._text("iss")),
            ("token id", self._text("jti")),
            ("issued", self._when("iat")),
            ("not before", self._when("nbf")),
            ("expires", self._expiry()),
            ("algorithm", str(self.header.get("alg"))),
            ("signature", self._signature()),
        ]
        return [f"{label + ':':<12}{text}" for label, text in rows if text]

    def _text(self, claim: str) -> str:
        value = self.claims.get(claim)
        return "" if value is None else str(value)

    def _rooms(self) -> str:
        if "rooms" not in self.claims:
            return "every room"
        rooms = self.claims["rooms"]
        if not isinstance(rooms, list) or not all(isinstance(entry, dict) for entry in rooms):
            return f"not understood: {rooms}"
        return "; ".join(f"{entry.get('match')} {_words(entry.get('can'))}" for entry in rooms) or "none"

    def _when(self, claim: str) -> str:
        value = self.claims.get(claim)
        if value is None:
            return ""
        left = self._seconds_until(claim) or 0.0
        early = f" (in {format_duration(left)}: no server takes it yet)" if left > LEEWAY_S else ""
        return f"{_date(value)}{early}"

    def _expiry(self) -> str:
        left = self.expires_in_s
        if left is None:
            return "never: no server takes this"
        words = f"in {format_duration(left)}" if left > 0 else f"expired {format_duration(-left)} ago"
        if left <= 0 and not self.is_expired:
            words += f", and servers take it for {format_duration(LEEWAY_S)} after that: clocks differ"
        return f"{_date(self.claims['exp'])} ({words})"

    def _signature(self) -> str:
        if self.verified_with is not None:
            return f"verified with {self.verified_with}"
        if not self.tried:
            return "not checked: no key (give --secret-file)"
        return f"not verified: {' and '.join(self.tried)} did not sign it"


def _writable(value: object) -> object:
    """Replace what cannot be written as JSON: lone surrogates, and numbers that are too large."""
    if isinstance(value, dict):
        return {_writable(key): _writable(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_writable(entry) for entry in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and abs(value) >= _MAX_INT:
        return str(value)
    return value


def _words(value: object) -> str:
    return "(" + ", ".join(map(str, value)) + ")" if isinstance(value, list) else str(value)


def _date(value: object) -> str:
    try:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")  # type: ignore[arg-type] # other values raise, see below
    except (TypeError, ValueError, OverflowError, OSError):
        return str(value)


def inspect_token(token: str, keys: Sequence[Key], *, now: float) -> TokenReport:
    """Read a token and verify it with the keys. Raises CliError (2) when it is not a JWT that can be read."""
    try:
        parts = jwt.api_jwt.decode_complete(token, options={"verify_signature": False})
        _check_names(token)
    except jwt.PyJWTError:
        raise CliError("this is not a JWT", hint="make a token: rtcli token create --sub you") from None
    verified = next((key.name for key in keys if _signed_by(token, key.secret)), None)
    return TokenReport(parts["header"], parts["payload"], tuple(key.name for key in keys), verified, now)


def _check_names(token: str) -> None:
    """Refuse what may mean one thing here and another to a server: no server of rtcli takes it."""
    for segment in token.split(".")[:2]:
        try:
            parse_part(segment)
        except DoubledNameError as error:
            raise CliError(f"no server takes this token: {error} in it") from None
        except NotAcceptedError:
            continue  # odd, but it can be shown


def _signed_by(token: str, secret: str) -> bool:
    try:
        jwt.PyJWS().decode_complete(token, secret, algorithms=["HS256"])
    except jwt.PyJWTError:
        return False
    return True
