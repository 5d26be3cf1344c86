from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rtcli.client import secret_files
from rtcli.client.secret_files import (
    check_secret,
    development_key_path,
    development_secret,
    read_secret,
    read_token,
)
from rtcli.errors import CliError, Exit

SECRET = "0123456789abcdef0123456789abcdef"


def never(text: str) -> None:
    pytest.fail(f"unexpected warning: {text}")


def private(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def assert_usage_error(error: CliError, path: Path, content: str | bytes = "") -> None:
    assert error.exit_code is Exit.USAGE
    assert str(path) in error.message
    shown = error.message + error.hint
    if len(content) > 8:
        assert (content if isinstance(content, str) else content.decode("latin-1")) not in shown


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_newline_at_the_end_does_not_count(tmp_path: Path, end: str) -> None:
    assert read_secret(private(tmp_path / "s", SECRET + end), warn=never) == SECRET


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "empty"),
        ("\n", "empty"),
        (" " * 40, "empty"),
        ("short-secret-123", "16 bytes, at least 32"),
        (SECRET[:-1] + "\n", "31 bytes, at least 32"),
        ("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n", "PEM"),
        ('{"kty":"oct","k":"0123456789abcdef0123456789abcdef"}', "JWK"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExample", "SSH"),
        (b"\xff\xfe" * 20, "UTF-8"),
        ("x" * 70_000, "larger than"),
    ],
)
def test_secrets_that_are_refused(tmp_path: Path, content: str | bytes, why: str) -> None:
    """Row C10."""
    path = private(tmp_path / "secret", content)
    with pytest.raises(CliError, match=why) as caught:
        read_secret(path, warn=never)
    assert_usage_error(caught.value, path, content)


def test_a_private_key_is_no_secret(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(CliError, match="not a shared secret"):
        read_secret(private(tmp_path / "key.pem", pem), warn=never)


def test_bytes_are_counted_not_characters() -> None:
    assert check_secret("é" * 16, "s") == "é" * 16


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(CliError, match=why) as caught:
            read_secret(path, warn=never)
        assert_usage_error(caught.value, path)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_is_used_with_a_warning(tmp_path: Path, mode: int) -> None:
    warnings: list[str] = []
    path = private(tmp_path / "s", SECRET, mode)
    assert read_secret(path, warn=warnings.append) == SECRET
    assert warnings == [f"{path} can be read by other users of this machine: chmod 600 {path}"]


def test_a_pipe_is_a_file_too(tmp_path: Path) -> None:
    """`--secret-file <(pass show rt)`: the mode of a pipe says nothing."""
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o644)
    writer = threading.Thread(target=path.write_text, args=(SECRET + "\n",))
    writer.start()
    assert read_secret(path, warn=never) == SECRET
    writer.join()


@pytest.mark.parametrize("content", ["a.b.c", "a.b.c\n", " \n a.b.c \r\n"])
def test_a_token_file(tmp_path: Path, content: str) -> None:
    assert read_token(private(tmp_path / "t", content), warn=never) == "a.b.c"


@pytest.mark.parametrize("content", ["", "\n", "two words", "two\nlines", "é.b.c", "a.\x1bb.c", "x" * 4097])
def test_token_files_that_are_refused(tmp_path: Path, content: str) -> None:
    path = private(tmp_path / "t", content)
    with pytest.raises(CliError, match="token") as caught:
        read_token(path, warn=never)
    assert_usage_error(caught.value, path, content)


# -- the development key -----------------------------------------------------------------------------------


def test_where_the_development_key_is(tmp_path: Path) -> None:
    assert development_key_path({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == Path("/s/rtcli/dev-secret")
    for relative in ("", "state", "./s"):
        env = {"XDG_STATE_HOME": relative, "HOME": str(tmp_path)}
        assert development_key_path(env) == tmp_path / ".local/state/rtcli/dev-secret"
    with pytest.raises(CliError, match="no home directory"):
        development_key_path({"HOME": "relative"})


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path / "deep" / "state")}
    assert development_secret(env, create=False) is None
    assert not (tmp_path / "deep").exists()
    secret = development_secret(env, create=True)
    assert secret is not None
    assert len(secret) >= 43
    assert development_secret(env, create=True) == secret
    assert development_secret(env, create=False) == secret
    path = development_key_path(env)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["dev-secret"]


def test_two_keys_are_not_the_same(tmp_path: Path) -> None:
    made = {development_secret({"HOME": str(tmp_path / name)}, create=True) for name in "abc"}
    assert len(made) == 3


def test_many_that_make_it_at_once_get_the_same(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    found: list[str | None] = []
    barrier = threading.Barrier(16)

    def make() -> None:
        barrier.wait()
        found.append(development_secret(env, create=True))

    threads = [threading.Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1
    assert found[0]


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o601])
def test_a_key_that_others_may_know_is_refused(tmp_path: Path, mode: int) -> None:
    env = {"HOME": str(tmp_path)}
    secret = development_secret(env, create=True)
    path = development_key_path(env)
    path.chmod(mode)
    for create in (True, False):
        with pytest.raises(CliError, match="not yours alone") as caught:
            development_secret(env, create=create)
        assert_usage_error(caught.value, path, secret or "")


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    path = development_key_path(env)
    path.parent.mkdir(parents=True)
    path.symlink_to(private(tmp_path / "elsewhere", SECRET))
    with pytest.raises(CliError, match="development key"):
        development_secret(env, create=True)


def test_what_is_in_it_is_checked(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    path = development_key_path(env)
    path.parent.mkdir(parents=True)
    private(path, "")
    with pytest.raises(CliError, match="empty"):
        development_secret(env, create=True)


def test_no_home_means_no_key_but_no_error_unless_one_is_wanted() -> None:
    assert development_secret({}, create=False) is None
    with pytest.raises(CliError, match="no home directory"):
        development_secret({}, create=True)


def test_a_state_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(CliError, match=r"development key .*: ") as caught:
        development_secret({"XDG_STATE_HOME": str(tmp_path / "state")}, create=True)
    assert "--secret-file" in caught.value.hint


def test_the_module_prints_nothing(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    development_secret({"HOME": str(tmp_path)}, create=True)
    secret_files.read_secret(private(tmp_path / "s", SECRET, 0o644), warn=lambda _text: None)
    assert capfd.readouterr() == ("", "")
