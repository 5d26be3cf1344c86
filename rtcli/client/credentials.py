"""Finds the token for a server, and the secrets that rtcli signs tokens with itself.

Secrets come from files and the environment, never from an argument (everybody can read those). They are never
printed: the `repr` of their objects leaves them out.

The development key is a random secret in the user's state directory. `rtcli serve` makes it and the other
commands find it, so that on one machine everything just works for one user, and for nobody else.
"""

from __future__ import annotations

import getpass
import inspect
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rtcli.client.endpoint import Endpoint
from rtcli.client.secret_files import (
    Warn,
    check_token,
    development_key_path,
    development_secret,
    read_secret,
    read_stdin_line,
    read_token,
)
from rtcli.errors import CliError, Exit
from rtcli.protocol.tokens import create_token, is_valid_user_id

__all__ = [
    "TokenFunction",
    "TokenSource",
    "current_token",
    "development_key_path",
    "development_secret",
    "minted",
    "read_secret",
    "read_token",
    "require_token",
    "resolve_token",
]

TokenFunction = Callable[[], str | Awaitable[str | None] | None]  # or a coroutine function
MINTED_TTL_S = 3600.0
_STDIN = "-"


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Returns the token for each connection. `renewable`: the next one may be newer than the last."""

    origin: str  # for people: "RTCLI_TOKEN", "the development key"
    token: Callable[[], str] = field(repr=False)
    renewable: bool


async def current_token(function: TokenFunction) -> str | None:
    """Ask for the token of the next connection; None: without one.

    Raises what the function raises, and CliError (2) for what no header can have: to send that again and
    again would not help.
    """
    given = function()
    token = await given if inspect.isawaitable(given) else given
    return None if token is None else check_token(token, "the token that was given")


def resolve_token(
    endpoint: Endpoint,
    *,
    token_file: str | None = None,
    secret_file: Path | None = None,
    as_name: str | None = None,
    env: Mapping[str, str],
    warn: Warn,
    scope: str | None = None,
) -> TokenSource | None:
    """Find the token for a server, or None: no token was given and the server is not on this machine.

    The order: `--secret-file` and `--token-file` (`-`: a line of stdin), RTCLI_TOKEN_FILE, RTCLI_TOKEN, and
    for a loopback address the development key. `as_name` and `scope` are for tokens that are signed here.
    Raises CliError (2) for a file that cannot be used, and for options that contradict each other.
    """
    from_env = token_file is not None and token_file == env.get("RTCLI_TOKEN_FILE")
    if secret_file is not None:
        if token_file is not None and not from_env:
            raise CliError("--token-file and --secret-file exclude each other", hint="one of them is enough")
        return minted(read_secret(secret_file, warn=warn), f"{secret_file}", as_name, env, scope)
    token_file = token_file or env.get("RTCLI_TOKEN_FILE") or None
    given = _given_token(token_file, env, warn)
    if given is not None:
        if as_name is not None:
            raise CliError(
                f"--as cannot rename the token from {given.origin}",
                hint="it takes a key to sign with: --secret-file, or the development key of this machine",
            )
        return given
    secret = development_secret(env, create=False) if endpoint.is_loopback else None
    return None if secret is None else minted(secret, "the development key", as_name, env, scope)


def require_token(source: TokenSource | None, endpoint: Endpoint) -> TokenSource:
    """Return the source, or raise CliError (4) that says how to give a token."""
    if source is not None:
        return source
    hint = "start the server first (rtcli serve), or give --token-file FILE or RTCLI_TOKEN"
    if not endpoint.is_loopback:
        hint = "give --token-file FILE, RTCLI_TOKEN, or --secret-file FILE to sign one"
    raise CliError(f"no token for {endpoint.authority}", hint=hint, exit_code=Exit.AUTH)


def _given_token(token_file: str | None, env: Mapping[str, str], warn: Warn) -> TokenSource | None:
    if token_file == _STDIN:
        line = check_token(read_stdin_line(), "stdin")
        return TokenSource("stdin", lambda: line, renewable=False)
    if token_file is not None:
        path = Path(token_file)
        read_token(path, warn=warn)  # report a wrong file now, not at the first reconnect
        return TokenSource(token_file, lambda: read_token(path, warn=lambda _text: None), renewable=True)
    if env.get("RTCLI_TOKEN", "").strip():
        token = check_token(env["RTCLI_TOKEN"], "RTCLI_TOKEN")
        return TokenSource("RTCLI_TOKEN", lambda: token, renewable=False)
    return None


def minted(
    secret: str,
    origin: str,
    as_name: str | None,
    env: Mapping[str, str],
    scope: str | None = None,
    *,
    clock: Callable[[], float] = time.time,
) -> TokenSource:
    """Sign a new token for each connection, as `as_name` or the user of this process."""
    name = _own_name(env) if as_name is None else as_name
    if not is_valid_user_id(name):
        raise CliError("--as: a name has 1 to 128 printable characters", hint="rtcli chat --as Ann")

    def sign() -> str:
        return create_token(secret, sub=name, name=name, now=clock(), ttl_s=MINTED_TTL_S, scope=scope)

    return TokenSource(origin, sign, renewable=True)


def _own_name(env: Mapping[str, str]) -> str:
    for variable in ("LOGNAME", "USER"):
        if is_valid_user_id(env.get(variable)):
            return env[variable]
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # users in containers often have no name (Python 3.13: OSError)
        return f"user-{os.getuid()}"
