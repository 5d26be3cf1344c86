from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from rtcli.client.credentials import development_secret, minted, require_token, resolve_token
from rtcli.client.endpoint import parse_endpoint
from rtcli.errors import CliError, Exit
from tests.support.processes.stdin import piped_stdin

HERE = parse_endpoint("http://127.0.0.1:8000")
THERE = parse_endpoint("https://chat.example")
SECRET = "0123456789abcdef0123456789abcdef"


def never(text: str) -> None:
    pytest.fail(f"unexpected warning: {text}")


def claims_of(token: str, secret: str | None = SECRET) -> dict[str, object]:
    assert secret is not None
    return jwt.decode(token, secret, ["HS256"])


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "LOGNAME": "ann"}


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("a.b.c\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path


@pytest.fixture
def stdin() -> Iterator[int]:
    """The writing end of a pipe that is this process's stdin."""
    with piped_stdin() as writing:
        yield writing


def test_nothing_given_and_nothing_here(env: dict[str, str]) -> None:
    assert resolve_token(HERE, env=env, warn=never) is None
    with pytest.raises(CliError, match=r"no token for 127.0.0.1:8000") as caught:
        require_token(None, HERE)
    assert caught.value.exit_code is Exit.AUTH
    assert "rtcli serve" in caught.value.hint
    with pytest.raises(CliError, match=r"no token for chat\.example:443") as caught:
        require_token(None, THERE)
    assert "--token-file" in caught.value.hint


def test_the_development_key_is_for_this_machine_only(env: dict[str, str]) -> None:
    secret = development_secret(env, create=True)
    source = resolve_token(HERE, env=env, warn=never)
    assert require_token(source, HERE) is source
    assert source is not None
    assert (source.origin, source.renewable) == ("the development key", True)
    claims = claims_of(source.token(), secret)
    assert (claims["sub"], claims["name"]) == ("ann", "ann")
    assert "scope" not in claims
    assert resolve_token(THERE, env=env, warn=never) is None


def test_a_name_and_a_scope_for_a_token_of_our_own(env: dict[str, str], secret_file: Path) -> None:
    source = resolve_token(
        THERE, secret_file=secret_file, as_name="Zoë B.", scope="publish", env=env, warn=never
    )
    assert source is not None
    claims = claims_of(source.token())
    assert (claims["sub"], claims["name"], claims["scope"]) == ("Zoë B.", "Zoë B.", "publish")


@pytest.mark.parametrize("name", ["", " ", "x" * 129, "a\x1bb", "__proto__"])
def test_names_that_no_server_takes(env: dict[str, str], secret_file: Path, name: str) -> None:
    with pytest.raises(CliError, match="--as"):
        resolve_token(HERE, secret_file=secret_file, as_name=name, env=env, warn=never)


def test_the_order(env: dict[str, str], token_file: Path, secret_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("d.e.f")
    other.chmod(0o600)
    development_secret(env, create=True)
    env |= {"RTCLI_TOKEN": "g.h.i"}
    source = resolve_token(HERE, env=env, warn=never)
    assert source is not None
    assert (source.token(), source.origin, source.renewable) == ("g.h.i", "RTCLI_TOKEN", False)
    env |= {"RTCLI_TOKEN_FILE": str(other)}
    source = resolve_token(HERE, env=env, warn=never)
    assert source is not None
    assert source.token() == "d.e.f"
    source = resolve_token(HERE, token_file=str(token_file), env=env, warn=never)
    assert source is not None
    assert source.token() == "a.b.c"
    # Typer gives the variable as if it had been the option; the option --secret-file is stronger.
    source = resolve_token(HERE, token_file=str(other), secret_file=secret_file, env=env, warn=never)
    assert source is not None
    assert claims_of(source.token())["sub"] == "ann"


def test_empty_variables_are_none(env: dict[str, str]) -> None:
    env |= {"RTCLI_TOKEN": "", "RTCLI_TOKEN_FILE": ""}
    assert resolve_token(HERE, env=env, warn=never) is None


def test_contradictions(env: dict[str, str], token_file: Path, secret_file: Path) -> None:
    with pytest.raises(CliError, match="exclude each other"):
        resolve_token(HERE, token_file=str(token_file), secret_file=secret_file, env=env, warn=never)
    with pytest.raises(CliError, match="cannot rename the token from RTCLI_TOKEN"):
        resolve_token(HERE, as_name="Bob", env={**env, "RTCLI_TOKEN": "a.b.c"}, warn=never)


def test_a_token_file_is_read_again_for_each_connection(env: dict[str, str], token_file: Path) -> None:
    source = resolve_token(HERE, token_file=str(token_file), env=env, warn=never)
    assert source is not None
    assert source.renewable
    token_file.write_text("new.b.c")
    assert source.token() == "new.b.c"
    token_file.unlink()
    with pytest.raises(CliError, match="no such file"):
        source.token()


def test_what_is_wrong_with_a_file_is_told_at_once(env: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(CliError, match="no such file"):
        resolve_token(HERE, token_file=str(tmp_path / "none"), env=env, warn=never)
    with pytest.raises(CliError, match="RTCLI_TOKEN: this is not a token"):
        resolve_token(HERE, env={**env, "RTCLI_TOKEN": "a b"}, warn=never)


def test_a_readable_token_file_is_warned_about_once(env: dict[str, str], token_file: Path) -> None:
    token_file.chmod(0o644)
    warnings: list[str] = []
    source = resolve_token(HERE, token_file=str(token_file), env=env, warn=warnings.append)
    assert source is not None
    assert source.token() == source.token()
    assert len(warnings) == 1


def test_stdin_gives_one_line_and_keeps_the_rest(env: dict[str, str], stdin: int) -> None:
    os.write(stdin, b"a.b.c\r\nhello\n")
    source = resolve_token(HERE, token_file="-", env=env, warn=never)
    assert source is not None
    assert source.token() == source.token() == "a.b.c"
    assert not source.renewable
    assert os.read(0, 100) == b"hello\n"
    os.close(stdin)


def test_stdin_without_a_token(env: dict[str, str], stdin: int) -> None:
    os.close(stdin)
    with pytest.raises(CliError, match="stdin: there is no token in it"):
        resolve_token(HERE, token_file="-", env=env, warn=never)


def test_a_line_without_end_is_not_read_for_ever(env: dict[str, str], stdin: int) -> None:
    os.write(stdin, b"x" * 10_000)
    with pytest.raises(CliError, match="stdin: this is not a token"):
        resolve_token(HERE, token_file="-", env=env, warn=never)
    os.close(stdin)


def test_each_connection_gets_a_fresh_token() -> None:
    times = iter([1000.0, 5000.0])
    source = minted(SECRET, "here", "ann", {}, clock=lambda: next(times))
    issued = [jwt.decode(source.token(), options={"verify_signature": False})["exp"] for _ in range(2)]
    assert issued == [4600, 8600]


def test_a_user_without_a_name() -> None:
    """As the process has no LOGNAME, whatever the system's user database says."""
    claims = claims_of(minted(SECRET, "here", None, {}).token())
    assert claims["sub"]


def test_a_user_that_the_system_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run under any number."""

    def unknown() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", unknown)
    claims = claims_of(minted(SECRET, "here", None, {"USER": " "}).token())
    assert claims["sub"] == f"user-{os.getuid()}"


def test_nothing_secret_in_the_representation(env: dict[str, str], secret_file: Path) -> None:
    source = resolve_token(HERE, secret_file=secret_file, env=env, warn=never)
    assert SECRET not in repr(source)
    assert source is not None
    assert source.token() not in repr(source)
