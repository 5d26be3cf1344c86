"""Reads tokens, shared secrets and the development key from files. Errors never show the content."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import jwt
from jwt.algorithms import HMACAlgorithm

from rtcli.errors import CliError
from rtcli.files import PRIVATE, write_new
from rtcli.protocol.tokens import MAX_TOKEN_BYTES, MIN_SECRET_BYTES

MAX_FILE_BYTES = 65_536
_KEYGEN_HINT = "make a good one: rtcli token keygen --out FILE"

Warn = Callable[[str], None]


def read_token(path: Path, *, warn: Warn) -> str:
    """Read a token file. Raises CliError (2); warns when others can read the file."""
    return check_token(_read_private(path, warn=warn), str(path))


def check_token(text: str, where: str) -> str:
    """Return the token without surrounding white space. Raises CliError (2) for what cannot be a token."""
    token = text.strip()
    if not token:
        raise CliError(f"{where}: there is no token in it", hint="make one: rtcli token create --sub you")
    if len(token) > MAX_TOKEN_BYTES or not (token.isascii() and token.isprintable() and " " not in token):
        raise CliError(
            f"{where}: this is not a token", hint=f"one line of ASCII, at most {MAX_TOKEN_BYTES} characters"
        )
    return token


def read_token_argument(file: str, *, warn: Warn) -> str:
    """Read the token that an argument names: a file, or `-` for a line of stdin. Raises CliError (2)."""
    if file.startswith("eyJ"):
        raise CliError(
            "a token as an argument can be read by every user of this machine",
            hint="put it into a file, or into a pipe and give '-'",
        )
    return check_token(read_stdin_line(), "stdin") if file == "-" else read_token(Path(file), warn=warn)


def read_secret(path: Path, *, warn: Warn) -> str:
    """Read a shared secret, without the newline at its end. Raises CliError (2).

    Warns when others can read the file.
    """
    return check_secret(_read_private(path, warn=warn).rstrip("\r\n"), str(path))


def check_secret(secret: str, where: str) -> str:
    """Return the secret if it can sign tokens. Raises CliError (2): empty, short, or another kind of key."""
    size = len(secret.encode())
    if not secret.strip():
        raise CliError(f"{where}: the secret is empty", hint=_KEYGEN_HINT)
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except jwt.InvalidKeyError:
        raise CliError(f"{where}: a PEM, SSH or JWK key is not a shared secret", hint=_KEYGEN_HINT) from None
    if size < MIN_SECRET_BYTES:
        raise CliError(
            f"{where}: the secret has {size} bytes, at least {MIN_SECRET_BYTES} are needed", hint=_KEYGEN_HINT
        )
    return secret


def _read_private(path: Path, *, warn: Warn) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        why = (error.strerror or "cannot be read").lower()
        raise CliError(f"{path}: {why}", hint="are its name and its permissions right?") from None
    if len(data) > MAX_FILE_BYTES:
        raise CliError(f"{path}: larger than {MAX_FILE_BYTES} bytes", hint=_KEYGEN_HINT)
    # Secrets mounted into containers are often readable by all on purpose: a warning, not an error.
    if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        warn(f"{path} can be read by other users of this machine: chmod 600 {path}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise CliError(f"{path}: not UTF-8 text", hint=_KEYGEN_HINT) from None


def read_stdin_line() -> str:
    """Read one line of stdin. The rest stays in stdin: it is the command's own input. Raises CliError (2)."""
    # Read single bytes, because Python's buffer would take more.
    line = bytearray()
    while len(line) <= MAX_TOKEN_BYTES + 2:
        try:
            byte = os.read(0, 1)
        except OSError as error:  # it is closed, or a directory
            why = (error.strerror or "cannot be read").lower()
            raise CliError(f"stdin: {why}", hint="it should have the token, on one line") from None
        if not byte or byte == b"\n":
            break
        line += byte
    return line.decode("utf-8", "replace")


def development_key_path(env: Mapping[str, str]) -> Path:
    """The path of the development key: `$XDG_STATE_HOME/rtcli/dev-secret`. Raises CliError (2): no home."""
    # XDG Base Directory Specification: "All paths ... must be absolute"; a relative one is ignored.
    state = Path(env.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        home = Path(env.get("HOME", ""))
        if not home.is_absolute():
            raise CliError(
                "no home directory for the development key", hint="set HOME, or give --secret-file"
            )
        state = home / ".local" / "state"
    return state / "rtcli" / "dev-secret"


def development_secret(env: Mapping[str, str], *, create: bool) -> str | None:
    """The development key; None when there is none and `create` is False.

    Raises CliError (2) when it cannot be made, or when other users may have read it.
    """
    if not create and not (env.get("HOME") or env.get("XDG_STATE_HOME")):
        return None  # a process without a home directory has none
    path = development_key_path(env)
    try:
        secret = _read_own(path)
        if secret is None and create:
            _create_atomically(path, secrets.token_urlsafe(32))
            secret = _read_own(path)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise CliError(f"the development key {path}: {why}", hint="or give --secret-file FILE") from None
    return None if secret is None else check_secret(secret, str(path))


def _read_own(path: Path) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise CliError(
                f"the development key {path} is not yours alone",
                hint=f"others may know it: remove it (rm {path}) and start again",
            )
        return file.read(MAX_FILE_BYTES).decode("utf-8", "replace").rstrip("\r\n")


def _create_atomically(path: Path, secret: str) -> None:
    """Write a temporary file, then link it: nobody reads half a key, and the first process wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    write_new(temporary, f"{secret}\n".encode(), PRIVATE)
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return  # another process was first: use its key
    finally:
        temporary.unlink()
