"""`rtcli token`: create and inspect tokens, and make keys.

Only the commands that make a token or key print it, alone on stdout, so that it can be redirected. `inspect`
shows the content of a token, never the token itself.
"""

from __future__ import annotations

import contextlib
import difflib
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rtcli.apps.token_report import Key, inspect_token
from rtcli.cli import options
from rtcli.cli.bundles import takes_bundles
from rtcli.client.secret_files import (
    check_token,
    development_key_path,
    development_secret,
    read_secret,
    read_token_argument,
)
from rtcli.errors import CliError, Exit
from rtcli.files import PRIVATE, write_new, write_whole
from rtcli.protocol.tokens import (
    MAX_TOKEN_ID,
    SCOPES,
    RoomGrant,
    create_token,
    is_token_id,
    is_valid_user_id,
)
from rtcli.terminal.console import console
from rtcli.terminal.escaping import escape
from rtcli.units import format_duration

MAX_TTL_S = 10 * 365 * 86_400.0  # the longest that a server accepts
_ACTIONS = ("join", "publish")

app = options.new_app()


@app.callback()
def _token() -> None:
    """Create and inspect tokens, and make keys."""


@dataclass(frozen=True)
class ClaimOptions:
    """What a token says."""

    sub: Annotated[str, typer.Option("--sub", metavar="ID", help="The user's id.")]
    ttl: Annotated[
        float, typer.Option("--ttl", parser=options.duration, metavar="DUR", help="How long it is valid.")
    ] = "1h"  # type: ignore[assignment]  # Typer parses the default too
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="The name to show.")] = None
    rooms: Annotated[
        list[str] | None,
        typer.Option(
            "--rooms",
            metavar="GLOB[=join|publish]",
            help="Only these rooms; may be given several times. Without it: every room.",
        ),
    ] = None
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="WORD", help="publish (events over HTTP) or admin; several times."),
    ] = None
    audience: Annotated[str | None, typer.Option("--audience", metavar="AUD", help="The claim aud.")] = None
    issuer: Annotated[str | None, typer.Option("--issuer", metavar="ISS", help="The claim iss.")] = None
    jti: Annotated[
        str | None,
        typer.Option(
            "--jti", metavar="ID", help="The token's own name, to revoke it by. Without it: a random one."
        ),
    ] = None


@app.command(
    epilog=options.examples(
        "rtcli token create --sub 7 --name Ann --out t",
        "rtcli token create --sub bot --rooms 'team-*' --rooms news=join --scope publish --ttl 7d",
    )
)
@takes_bundles()
def create(
    *,
    claims: ClaimOptions,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write it to a file that only you can read."),
    ] = None,
    secret_file: options.SecretFile = None,
    json: options.Json = False,
) -> None:
    """Sign a token; it stands alone on stdout, or with --out in a file.

    With the secret in --secret-file; without it, with the development key of this machine. A file that is
    there is replaced: commands that read it take the new token for their next connection.
    """
    token_id = secrets.token_urlsafe(12) if claims.jti is None else claims.jti
    _check_claims(claims, token_id)
    now = time.time()
    token = create_token(
        _signing_secret(secret_file),
        sub=claims.sub,
        now=now,
        ttl_s=claims.ttl,
        name=claims.name,
        rooms=None if claims.rooms is None else [parse_grant(text) for text in claims.rooms],
        scope=" ".join(_scopes(claims.scope or [])) or None,
        audience=claims.audience,
        issuer=claims.issuer,
        token_id=token_id,
    )
    check_token(token, "the new token")  # with very many rooms it is too long for servers
    expires_at = int(now + claims.ttl)
    record = {"sub": claims.sub, "jti": token_id, "expires_at": expires_at}
    if out is not None:
        _write_token(out, token)
        console.info(f"written to {escape(str(out))}; it expires in {format_duration(claims.ttl)}")
        if json:
            console.write_json({"type": "token", "file": str(out), **record})
    elif json:
        console.write_json({"type": "token", "token": token, **record})
    else:
        console.write_line(token)


def _write_token(path: Path, token: str) -> None:
    try:
        write_whole(path, f"{token}\n".encode(), PRIVATE)
    except OSError as error:
        why = (error.strerror or "cannot be written").lower()
        raise CliError(f"--out {path}: {why}", hint="choose another place") from None


def _scopes(given: Sequence[str]) -> list[str]:
    """The words of `--scope`. Raises CliError (2) for one that no server knows."""
    words = [word for text in given for word in text.split()]
    for word in words:
        if word not in SCOPES:
            close = difflib.get_close_matches(word.lower(), SCOPES, n=1)
            meant = f"did you mean {close[0]}? " if close else ""
            raise CliError(
                f"--scope {word!r}: there is no such scope", hint=f"{meant}scopes: {', '.join(SCOPES)}"
            )
    return words


def _check_claims(claims: ClaimOptions, token_id: str) -> None:
    """Raise CliError (2) for what no server would accept."""
    if not is_valid_user_id(claims.sub):
        raise CliError(
            "--sub: a user's id has 1 to 128 printable characters", hint="rtcli token create --sub 7"
        )
    if not 0 < claims.ttl <= MAX_TTL_S:
        raise CliError("--ttl: more than 0 and at most ten years", hint="--ttl 12h")
    if not is_token_id(token_id):
        raise CliError(
            f"--jti: a token's name has 1 to {MAX_TOKEN_ID} printable characters", hint="--jti laptop-2026"
        )


@app.command(
    epilog=options.examples(
        "rtcli token inspect FILE",
        "rtcli token create --sub 7 | rtcli token inspect -",
        "rtcli token inspect --json",
    )
)
def inspect(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help="The token's file; '-' is stdin. Without it: RTCLI_TOKEN_FILE, RTCLI_TOKEN."
        ),
    ] = None,
    *,
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", metavar="FILE", help="Check with the secret in FILE.")
    ] = None,
    json: options.Json = False,
) -> int:
    """Say what a token says, how long it is valid, and whether the key signed it.

    The key is the one in --secret-file; without it, the development key of this machine. Exit 4 when servers
    refuse it: more than 5 seconds after it expired or before it is valid (so much may clocks differ), or when
    the key of --secret-file did not sign it.
    """
    token = _token_to_inspect(file)
    report = inspect_token(token, _keys(secret_file), now=time.time())
    if json:
        console.write_json(report.record())
    else:
        console.write_lines(escape(line) for line in report.lines())
    refused = report.is_expired or report.is_early or (secret_file and not report.verified_with)
    return Exit.AUTH if refused else Exit.OK


@app.command(epilog=options.examples("rtcli token keygen --out secret", "rtcli serve --secret-file secret"))
def keygen(
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write it to a new file that only you can read."),
    ] = None,
) -> None:
    """Make a random secret of 32 bytes for signing tokens (HS256); it stands alone on stdout."""
    secret = secrets.token_urlsafe(32)
    if out is None:
        console.write_line(secret)
        return
    try:
        write_new(out, f"{secret}\n".encode(), PRIVATE)
    except FileExistsError:
        raise CliError(f"{out} exists, and tokens may depend on it", hint="choose another name") from None
    except OSError as error:
        why = (error.strerror or "cannot be written").lower()
        raise CliError(f"{out}: {why}", hint="choose another place") from None
    shown = escape(str(out))
    console.info(f"written to {shown}; start with: rtcli serve --secret-file {shown}")


def parse_grant(text: str) -> RoomGrant:
    """Read `GLOB`, `GLOB=join` or `GLOB=publish`. Raises CliError (2).

    A glob with `=` in it needs one of them; so no mistake in `join` becomes a part of a name.
    """
    if text and "=" not in text:
        return {"match": text, "can": list(_ACTIONS)}
    glob, _, action = text.rpartition("=")
    if not glob or action not in _ACTIONS or glob.rpartition("=")[2] in _ACTIONS:
        raise CliError(f"--rooms {text!r} is not understood", hint="--rooms 'team-*', or --rooms news=join")
    return {"match": glob, "can": [action]}


def _signing_secret(secret_file: Path | None) -> str:
    if secret_file is not None:
        return read_secret(secret_file, warn=console.warning)
    secret = development_secret(console.env, create=True)
    assert secret is not None  # noqa: S101 - create=True makes one or raises
    console.info(f"signed with the development key {escape(str(development_key_path(console.env)))}")
    return secret


def _token_to_inspect(file: str | None) -> str:
    env: Mapping[str, str] = console.env
    file = file or env.get("RTCLI_TOKEN_FILE") or None
    if file is not None:
        return read_token_argument(file, warn=console.warning)
    if env.get("RTCLI_TOKEN"):
        return check_token(env["RTCLI_TOKEN"], "RTCLI_TOKEN")
    raise CliError("no token to inspect", hint="rtcli token inspect FILE, or '-' for stdin, or RTCLI_TOKEN")


def _keys(secret_file: Path | None) -> list[Key]:
    if secret_file is not None:
        return [Key(str(secret_file), read_secret(secret_file, warn=console.warning))]
    # Show the token even if the development key is damaged.
    with contextlib.suppress(CliError):
        secret = development_secret(console.env, create=False)
        if secret is not None:
            return [Key("the development key", secret)]
    return []
