"""`rtcli token` as it is installed, in a home of its own."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from subprocess import CompletedProcess

import jwt
import pytest

from rtcli.cli.commands.token import parse_grant
from rtcli.errors import CliError
from tests.support.processes.rtcli import rtcli
from tests.support.special_files import make_fifo

SECRET = "0123456789abcdef0123456789abcdef"


def output(done: CompletedProcess[bytes]) -> str:
    assert (done.returncode, done.stderr.decode()) == (0, "") or b"development key" in done.stderr
    text = done.stdout.decode()
    assert text.endswith("\n")
    return text[:-1]


def failed(done: CompletedProcess[bytes], exit_code: int) -> str:
    assert done.returncode == exit_code
    assert done.stdout == b""
    error, hint = done.stderr.decode().splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    return error


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


def test_create_prints_the_token_alone(tmp_path: Path, secret_file: Path) -> None:
    token = output(
        rtcli(
            *(
                "token",
                "create",
                "--sub",
                "7",
                "--name",
                "Ann",
                "--ttl",
                "2m",
                "--secret-file",
                str(secret_file),
            ),
            *("--rooms", "team-*", "--rooms", "news=join", "--scope", "publish", "--scope", "admin"),
            *("--audience", "rt", "--issuer", "me"),
            home=tmp_path,
        )
    )
    claims = jwt.decode(token, SECRET, ["HS256"], audience="rt", issuer="me")
    assert claims.pop("exp") - claims.pop("iat") == 120
    assert len(claims.pop("jti")) == 16
    assert claims == {
        "sub": "7",
        "name": "Ann",
        "rooms": [{"match": "team-*", "can": ["join", "publish"]}, {"match": "news", "can": ["join"]}],
        "scope": "publish admin",
        "aud": "rt",
        "iss": "me",
    }


def test_without_a_secret_the_development_key_signs(tmp_path: Path) -> None:
    done = rtcli("token", "create", "--sub", "7", home=tmp_path)
    secret = (tmp_path / "state/rtcli/dev-secret").read_text().strip()
    assert jwt.decode(output(done), secret, ["HS256"])["sub"] == "7"
    assert "signed with the development key" in done.stderr.decode()
    assert secret not in done.stderr.decode()


def test_create_with_json(tmp_path: Path, secret_file: Path) -> None:
    done = rtcli("token", "create", "--sub", "7", "--secret-file", str(secret_file), "--json", home=tmp_path)
    record = json.loads(output(done))
    claims = jwt.decode(record["token"], SECRET, ["HS256"])
    assert record == {
        "type": "token",
        "token": record["token"],
        "sub": "7",
        "jti": claims["jti"],
        "expires_at": claims["exp"],
    }


def test_each_token_has_a_name_of_its_own_or_the_one_that_is_given(tmp_path: Path) -> None:
    names = set()
    for given in ((), (), ("--jti", "laptop")):
        token = output(rtcli("token", "create", "--sub", "7", *given, home=tmp_path))
        (tmp_path / "t").write_text(token)
        (tmp_path / "t").chmod(0o600)
        names.add(jwt.decode(token, options={"verify_signature": False})["jti"])
        shown = rtcli("token", "inspect", "t", home=tmp_path).stdout.decode()
        assert f"token id:   {jwt.decode(token, options={'verify_signature': False})['jti']}" in shown
    assert len(names) == 3
    assert "laptop" in names


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "missing option '--sub'"),
        (("--sub", ""), "--sub"),
        (("--sub", "x" * 129), "--sub"),
        (("--sub", "a\nb"), "--sub"),
        (("--sub", "7", "--ttl", "0s"), "--ttl"),
        (("--sub", "7", "--ttl", "5000d"), "--ttl"),
        (("--sub", "7", "--ttl", "-1s"), "--ttl"),
        (("--sub", "7", "--rooms", "a=dance"), "--rooms"),
        (("--sub", "7", "--jti", ""), "--jti"),
        (("--sub", "7", "--jti", "x" * 257), "--jti"),
        (("--sub", "7", "--jti", "a\tb"), "--jti"),
        (("--sub", "7", "--name", "x" * 5000), "the new token"),
        (("--sub", "7", "--secret-file", "none"), "no such file"),
    ],
)
def test_create_refuses(tmp_path: Path, arguments: tuple[str, ...], why: str) -> None:
    done = rtcli("token", "create", *arguments, home=tmp_path)
    assert why in done.stderr.decode()
    assert done.returncode == 2
    assert done.stdout == b""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "empty"),
        ("short", "5 bytes"),
        ("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----", "PEM"),
    ],
)
def test_bad_secret_files(tmp_path: Path, content: str, why: str) -> None:
    """Row C10."""
    (tmp_path / "s").write_text(content)
    (tmp_path / "s").chmod(0o600)
    done = rtcli("token", "create", "--sub", "7", "--secret-file", "s", home=tmp_path)
    assert why in failed(done, 2)


def test_a_secret_that_others_can_read_is_warned_about(tmp_path: Path, secret_file: Path) -> None:
    secret_file.chmod(0o644)
    done = rtcli("token", "create", "--sub", "7", "--secret-file", str(secret_file), home=tmp_path)
    assert done.returncode == 0
    assert done.stderr.decode().startswith("warning: ")
    assert SECRET not in done.stderr.decode()


def test_inspect_what_create_made(tmp_path: Path) -> None:
    token = output(rtcli("token", "create", "--sub", "7", "--name", "\x1b[31mAnn", home=tmp_path))
    (tmp_path / "t").write_text(token + "\n")
    (tmp_path / "t").chmod(0o600)
    ways = [
        rtcli("token", "inspect", "-", home=tmp_path, stdin=token),
        rtcli("token", "inspect", "t", home=tmp_path),
        rtcli("token", "inspect", home=tmp_path, env={"RTCLI_TOKEN": token}),
        rtcli("token", "inspect", home=tmp_path, env={"RTCLI_TOKEN_FILE": "t", "RTCLI_TOKEN": "x"}),
    ]
    for done in ways:
        text = output(done)
        assert "name:       \\x1b[31mAnn" in text
        assert "signature:  verified with the development key" in text
        assert token.rpartition(".")[2] not in text
    record = json.loads(output(rtcli("token", "inspect", "t", "--json", home=tmp_path)))
    assert (record["type"], record["verified"], record["expired"]) == ("token", True, False)


def test_inspect_says_by_its_exit_code_that_a_token_is_of_no_use(tmp_path: Path, secret_file: Path) -> None:
    expired = jwt.encode({"sub": "7", "exp": 1}, SECRET, "HS256")
    done = rtcli("token", "inspect", "-", home=tmp_path, stdin=expired)
    assert done.returncode == 4
    assert "expired" in done.stdout.decode()
    assert "not checked: no key" in done.stdout.decode()
    foreign = jwt.encode({"sub": "7", "exp": 4_000_000_000}, "x" * 32, "HS256")
    assert rtcli("token", "inspect", "-", home=tmp_path, stdin=foreign).returncode == 0
    done = rtcli("token", "inspect", "-", "--secret-file", str(secret_file), home=tmp_path, stdin=foreign)
    assert done.returncode == 4
    assert f"not verified: {secret_file} did not sign it" in done.stdout.decode()


def test_inspect_refuses(tmp_path: Path) -> None:
    token = jwt.encode({"sub": "7"}, SECRET, "HS256")
    done = rtcli("token", "inspect", token, home=tmp_path)
    assert "every user of this machine" in failed(done, 2)
    assert token not in done.stderr.decode()
    assert "no token to inspect" in failed(rtcli("token", "inspect", home=tmp_path), 2)
    assert "no such file" in failed(rtcli("token", "inspect", "none", home=tmp_path), 2)
    assert "not a JWT" in failed(rtcli("token", "inspect", "-", home=tmp_path, stdin="a.b.c"), 2)
    assert "no token in it" in failed(rtcli("token", "inspect", "-", home=tmp_path, stdin=""), 2)


def test_a_damaged_development_key_does_not_stop_inspect(tmp_path: Path) -> None:
    token = output(rtcli("token", "create", "--sub", "7", home=tmp_path))
    (tmp_path / "state/rtcli/dev-secret").chmod(0o644)
    assert "not checked" in output(rtcli("token", "inspect", "-", home=tmp_path, stdin=token))
    assert "not yours alone" in failed(rtcli("token", "create", "--sub", "7", home=tmp_path), 2)


def test_keygen(tmp_path: Path) -> None:
    first, second = (output(rtcli("token", "keygen", home=tmp_path)) for _ in range(2))
    assert first != second
    assert len(first) >= 43
    done = rtcli("token", "keygen", "--out", "new key", home=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"")
    path = tmp_path / "new key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip() not in done.stderr.decode()
    assert "exists" in failed(rtcli("token", "keygen", "--out", "new key", home=tmp_path), 2)
    assert "no such file" in failed(rtcli("token", "keygen", "--out", "no/such/place", home=tmp_path), 2)
    assert jwt.decode(
        output(rtcli("token", "create", "--sub", "7", "--secret-file", "new key", home=tmp_path)),
        path.read_text().strip(),
        ["HS256"],
    )


def test_grants() -> None:
    assert parse_grant("a*") == {"match": "a*", "can": ["join", "publish"]}
    assert parse_grant("a=publish") == {"match": "a", "can": ["publish"]}
    assert parse_grant("1 + 1 = 2=join") == {"match": "1 + 1 = 2", "can": ["join"]}
    assert parse_grant("C#, F#") == {"match": "C#, F#", "can": ["join", "publish"]}
    for wrong in ("", "=join", "a=", "a=admin", "a=join=publish", "a=b"):
        with pytest.raises(CliError, match="--rooms"):
            parse_grant(wrong)


def test_a_token_in_a_file_that_is_replaced(tmp_path: Path, secret_file: Path) -> None:
    create = ("token", "create", "--sub", "7", "--secret-file", str(secret_file), "--out", "t")
    (tmp_path / "t").write_text("the old one")
    (tmp_path / "t").chmod(0o644)
    done = rtcli(*create, "--ttl", "2h", home=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr == b"written to t; it expires in 2 h\n"
    text = (tmp_path / "t").read_text()
    assert jwt.decode(text.removesuffix("\n"), SECRET, ["HS256"])["sub"] == "7"
    assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o600
    record = json.loads(rtcli(*create, "--json", home=tmp_path).stdout)
    assert (record["file"], "token" in record) == ("t", False)
    assert (
        failed(rtcli(*create, "--out", "no/t", home=tmp_path), 2)
        == "error: --out no/t: no such file or directory"
    )
    make_fifo(tmp_path / "fifo")
    said = failed(rtcli(*create, "--out", "fifo", home=tmp_path), 2)
    assert said == "error: --out fifo: is a fifo, not a regular file"


def test_scopes_that_do_not_exist_are_refused(tmp_path: Path, secret_file: Path) -> None:
    create = ("token", "create", "--sub", "7", "--secret-file", str(secret_file))
    both = output(rtcli(*create, "--scope", "publish admin", home=tmp_path))
    assert jwt.decode(both, SECRET, ["HS256"])["scope"] == "publish admin"
    done = rtcli(*create, "--scope", "publish Admn", home=tmp_path)
    assert failed(done, 2) == "error: --scope 'Admn': there is no such scope"
    assert done.stderr.endswith(b"\nhint: did you mean admin? scopes: publish, admin\n")
    assert done.stdout == b""
