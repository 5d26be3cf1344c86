"""Why Redis does not do something: a name that tells causes apart, and a text for people."""

from __future__ import annotations

from typing import NamedTuple

from redis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError

from rtcli_server.broker.health import StoreHealth

CONNECTION = "connection"  # there is none, or nothing comes through it
NO_PERMISSION = "NOPERM"  # the user may not do this
# Until version 7.0, Redis has no code for what a script may not do.
_NOT_ALLOWED = "The user executing the script can't"


class Cause(NamedTuple):
    """A cause: `name` is the same each time that it is met."""

    name: str
    text: str


def cause_of(error: BaseException) -> Cause:
    """Name the cause of an error: the first word of an error answer, or that there is no connection."""
    text = str(error).partition(" script: ")[0] or type(error).__name__
    if not isinstance(error, (ResponseError, AuthenticationError, AuthorizationError)):
        return Cause(CONNECTION, text)
    # redis-py takes the code off the texts of those that have an exception of their own.
    code = NO_PERMISSION if text.startswith(_NOT_ALLOWED) else getattr(error, "status_code", None)
    if code:
        return Cause(code, f"{code} {text}")
    return Cause(text.partition(" ")[0], text)


def tell_failed_connect(health: StoreHealth, error: BaseException) -> None:
    """Tell why there is no new connection. If it is that nobody is there, an earlier cause may say more."""
    name, text = cause_of(error)
    (health.symptom if name == CONNECTION else health.failed)(name, f"cannot connect: {text}")


def refusal(error: BaseException) -> Cause:
    """Name the cause of a request's BrokerUnavailableError."""
    answer = error.__cause__
    return cause_of(answer) if isinstance(answer, RedisError) else Cause(CONNECTION, str(error))
