"""What `rtcli kick` and `rtcli revoke` do: what is asked for, the request, and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from rtcli.apps.asking import Asker
from rtcli.apps.token_report import inspect_token
from rtcli.client import failures
from rtcli.client.failures import Failure
from rtcli.client.net.answers import Answer
from rtcli.errors import CliError, Exit
from rtcli.protocol.messages import format_timestamp
from rtcli.protocol.paths import REVOCATIONS_PATH, user_connections_path
from rtcli.protocol.tokens import MAX_STAY_AWAY_S, MAX_TOKEN_ID, is_token_id, is_valid_user_id

MAX_ANSWER_BYTES = 65_536
LEEWAY_S = 60.0  # what servers may add to the expiry of a token, and more
MAX_LEFT_S = 20 * 366 * 86_400.0  # longer than any server accepts or keeps
_WHAT = "give one: --jti ID, --user ID, or the FILE of a token"


class Kicked(msgspec.Struct, frozen=True):
    """How many connections and streams were closed."""

    closed: Annotated[int, msgspec.Meta(ge=0)]


class Revoked(msgspec.Struct, frozen=True):
    """Until when the revocation is kept."""

    until: str


class _Mistake(msgspec.Struct, frozen=True):
    field: str
    message: str


class _Problem(msgspec.Struct, frozen=True):
    detail: str = ""
    errors: list[_Mistake] = []


# -- what is asked for -------------------------------------------------------------------------------------


def check_kick(user: str, stay_away_s: float | None) -> None:
    """Raise CliError (2) for a user that cannot be, or a time that is too long."""
    _check_user(user, "USER")
    if stay_away_s is not None and not 0 < stay_away_s <= MAX_STAY_AWAY_S:
        raise CliError("--stay-away: more than 0 and at most 30 days", hint="--stay-away 10m")


@dataclass(frozen=True)
class RevokeOptions:
    """What `rtcli revoke` was given; `token` is the content of a token's file."""

    token: str | None = None
    jti: str | None = None
    user: str | None = None
    issued_before: str | None = None
    until: str | None = None


def revocation(given: RevokeOptions, *, now: float) -> dict[str, str]:
    """Make the body of the request. Raises CliError (2) for what is contradictory or cannot be.

    `now` is in Unix seconds.
    """
    if [given.token, given.jti, given.user].count(None) != 2:
        raise CliError("a revocation is about one token, or one user's tokens", hint=_WHAT)
    if given.issued_before is not None and given.user is None:
        raise CliError(
            "--issued-before needs --user", hint="a single token is revoked whenever it was issued"
        )
    times = {
        name: _time(text, f"--{name.replace('_', '-')}")
        for name, text in (("issued_before", given.issued_before), ("until", given.until))
        if text is not None
    }
    if given.user is not None:
        _check_user(given.user, "--user")
        return {"user": given.user, **times}
    if given.token is not None:
        return _of_token(given.token, now) | times
    if not is_token_id(given.jti):
        raise CliError(
            f"--jti: a token's name has 1 to {MAX_TOKEN_ID} printable characters",
            hint="it is in the token: rtcli token inspect FILE",
        )
    return {"jti": given.jti, **times}


def _check_user(user: str, where: str) -> None:
    if not is_valid_user_id(user):
        raise CliError(
            f"{where}: a user's id has 1 to 128 printable characters, and is not . or ..",
            hint="for example 7",
        )


def _time(text: str, option: str) -> str:
    """Read a time with its offset from UTC; give it in UTC."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("of which place?")  # noqa: TRY301 - the same mistake to who reads it
        return format_timestamp(moment.astimezone(UTC).timestamp())
    except (ValueError, OverflowError):
        raise CliError(
            f"{option} {text!r} is not a time with its offset from UTC", hint=f"{option} 2026-05-01T09:30:00Z"
        ) from None


def _of_token(token: str, now: float) -> dict[str, str]:
    """The name of a token, and until when it is valid."""
    report = inspect_token(token, [], now=now)
    jti, left_s = report.claims.get("jti"), report.expires_in_s
    if not is_token_id(jti):
        raise CliError(
            "this token has no name (jti) to revoke it by",
            hint="revoke all of its user's: rtcli revoke --user ID",
        )
    if left_s is None or left_s <= -LEEWAY_S:
        raise CliError(
            "no server takes this token: it has expired, or never does", hint="nothing is left to do"
        )
    if left_s > MAX_LEFT_S:
        return {"jti": jti}
    return {"jti": jti, "until": format_timestamp(now + left_s + LEEWAY_S)}


# -- the request -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Administrator:
    """Asks a server to close and to refuse. Both may be repeated."""

    asker: Asker

    async def kick(self, user: str, stay_away_s: float | None) -> Kicked:
        """Close everything that a user has open. Raises CliError."""
        path = user_connections_path(user)
        if stay_away_s is not None:
            path += f"?stay_away_s={stay_away_s}"  # `:g` would write 30 days with a `+`, a space in a query
        return await self.asker.ask("DELETE", path, Kicked, max_bytes=MAX_ANSWER_BYTES, explain=self._failure)

    async def revoke(self, body: dict[str, str]) -> Revoked:
        """Revoke a token, or a user's tokens. Raises CliError."""
        return await self.asker.ask(
            "POST",
            REVOCATIONS_PATH,
            Revoked,
            body=msgspec.json.encode(body),
            max_bytes=MAX_ANSWER_BYTES,
            explain=self._failure,
        )

    def _failure(self, answer: Answer) -> Failure:
        where, status = self.asker.server.where, answer.status
        retry_after = answer.headers.get("retry-after")
        failure = failures.of_status(status, where, what="no such administration", retry_after=retry_after)
        if status == 403:
            error = CliError(
                f"{where} does not allow this (403)",
                hint="it takes a token with the scope admin: rtcli token create --sub you --scope admin",
                exit_code=Exit.AUTH,
            )
        elif status == 503:
            error = CliError(
                f"{where}: {_detail(answer)}",
                hint="repeat it, or let it be repeated: --wait 30s",
                exit_code=Exit.CANNOT_CONNECT,
            )
        elif status in {400, 409}:
            hint = "when those that are kept are over, there is room" if status == 409 else "see -h"
            error = CliError(f"{where} refuses this: {_detail(answer)}", hint=hint, exit_code=Exit.SERVER)
        else:
            return failure
        return Failure(failure.reason, error, retry=failure.retry, retry_after_s=failure.retry_after_s)


def _detail(answer: Answer) -> str:
    """What the server says is wrong; the console escapes it."""
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        problem = _Problem()
    mistakes = "; ".join(f"{mistake.field}: {mistake.message}" for mistake in problem.errors[:3])
    return (mistakes or problem.detail)[:500] or f"status {answer.status}"
