"""What a request to revoke asks for. No web framework here."""

from __future__ import annotations

from datetime import UTC, datetime

from rtcli.protocol.tokens import is_token_id, is_valid_user_id
from rtcli_server.api.models import RevocationIn
from rtcli_server.auth.revocations import MAX_KEPT_MS, Revocation, RevocationKind
from rtcli_server.problems import ProblemError

# Revocations are kept for longer than was asked for: tokens are taken for some seconds after their expiry,
# and the clocks of instances differ.
LONGER_MS = 30_000


def read_revocation(body: RevocationIn, now_ms: int) -> Revocation:
    """Read the body of a request; it is kept `LONGER_MS` beyond its `until`. Raises ProblemError (400)."""
    until_ms = min(_time(body.until, "until", now_ms + MAX_KEPT_MS), now_ms + MAX_KEPT_MS)
    kept_until_ms = until_ms + LONGER_MS
    if kept_until_ms <= now_ms:
        raise _mistake("until", "is over")
    if body.jti is not None and body.user is None and body.issued_before is None:
        if not is_token_id(body.jti):
            raise _mistake("jti", "not the name of a token")
        return Revocation(RevocationKind.TOKEN, body.jti, kept_until_ms)
    if body.user is None or body.jti is not None:
        raise ProblemError(400, detail="A revocation has jti, or user and perhaps issued_before")
    if not is_valid_user_id(body.user):
        raise _mistake("user", "not the id of a user")
    before_ms = _time(body.issued_before, "issued_before", now_ms)
    if before_ms > now_ms:
        raise _mistake("issued_before", "is in the future")
    return Revocation(RevocationKind.USER, body.user, kept_until_ms, before_ms)


def _time(text: str | None, field: str, default_ms: int) -> int:
    """The Unix milliseconds of a time with its offset from UTC."""
    if text is None:
        return default_ms
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise _mistake(field, "has no offset from UTC")
        return max(0, int(moment.astimezone(UTC).timestamp() * 1000))
    except (ValueError, OverflowError):
        raise _mistake(field, "not a time") from None


def _mistake(field: str, text: str) -> ProblemError:
    return ProblemError(400, errors=[{"field": field, "message": text}])
