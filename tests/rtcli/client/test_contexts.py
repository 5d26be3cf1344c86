"""The files of named deployments: what is written is read again, and what cannot be used is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.client.contexts import Context, Contexts
from rtcli.errors import CliError, Exit

PROD = Context("https://rt.example.org", token_file="/run/secrets/token", cacert="/etc/ca.pem")


@pytest.fixture
def contexts(tmp_path: Path) -> Contexts:
    return Contexts({"XDG_CONFIG_HOME": str(tmp_path)})


def write(tmp_path: Path, text: str | bytes, name: str = "prod") -> None:
    path = tmp_path / "rtcli" / "contexts" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def test_what_is_written_is_read_again(contexts: Contexts, tmp_path: Path) -> None:
    assert (contexts.names(), contexts.selected()) == ([], "")
    contexts.write("prod", PROD)
    contexts.write("a", Context("localhost:8000", insecure=True))
    assert (contexts.names(), contexts.read("prod")) == (["a", "prod"], PROD)
    assert contexts.read("a").insecure
    contexts.select("prod")
    assert contexts.selected() == "prod"
    path = tmp_path / "rtcli" / "contexts" / "prod.toml"
    assert path.read_text() == (
        'url = "https://rt.example.org"\ntoken_file = "/run/secrets/token"\ncacert = "/etc/ca.pem"\n'
    )
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_what_is_removed_is_not_used_any_more(contexts: Contexts) -> None:
    contexts.write("prod", PROD)
    contexts.select("prod")
    contexts.remove("prod")
    assert (contexts.names(), contexts.selected()) == ([], "")
    with pytest.raises(CliError, match="there is no context 'prod'"):
        contexts.remove("prod")


@given(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1))
def test_any_name_of_a_file(text: str) -> None:
    folder = Path(os.environ["TMPDIR"]) / "any-name"
    contexts = Contexts({"HOME": str(folder)})
    context = Context("localhost:1", token_file=f"/{text} \"\\'=#")
    contexts.write("a", context)
    assert contexts.read("a") == context
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("url = ", "it is no TOML"),
        (b"url = '\xff'", "it is no TOML"),
        ("a = " + "[" * 5000, "it is no TOML"),
        ("# nothing", "it has no url"),
        ("url = 'ftp://x'", "ftp:// is not a scheme of ours"),
        ("url = 7", "url is a text"),
        ("url = 'localhost:1'\ninsecure = 'yes'", "insecure is true or false"),
        ("url = 'localhost:1'\ntoken = 'a.b.c'", "there is no setting 'token'"),
        ("url = 'localhost:1'\ntoken_file = 'here'", "token_file: 'here' is not an absolute path"),
        ("url = 'localhost:1'\ntoken_file = '/a'\nsecret_file = '/b'", "exclude each other"),
        ("url = 'localhost:1'\nkey = '/a'", "key needs cert"),
        ("url = 'localhost:1'\nas_name = '\\u0007'".replace("'\\u0007'", '"\\u0007"'), "control characters"),
        ("#" * 70_000, "more than 65536 bytes"),
    ],
)
def test_files_that_cannot_be_used(contexts: Contexts, tmp_path: Path, text: str | bytes, says: str) -> None:
    write(tmp_path, text)
    with pytest.raises(CliError) as caught:
        contexts.read("prod")
    assert says in caught.value.message
    assert caught.value.exit_code == Exit.USAGE
    assert "a.b.c" not in caught.value.message


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "-a", "é", "a" * 65, "a\n"])
def test_names_that_cannot_be(contexts: Contexts, name: str) -> None:
    with pytest.raises(CliError, match="cannot be a context's name"):
        contexts.write(name, PROD)


def test_what_is_no_regular_file_stays(contexts: Contexts, tmp_path: Path) -> None:
    write(tmp_path, "", name="other")
    fifo = tmp_path / "rtcli" / "contexts" / "prod.toml"
    os.mkfifo(fifo)
    with pytest.raises(CliError, match="is a FIFO, not a regular file"):
        contexts.write("prod", PROD)
    with pytest.raises(CliError, match="is a FIFO, not a regular file"):
        contexts.read("prod")
    assert fifo.is_fifo()


def test_without_a_home_there_are_none() -> None:
    contexts = Contexts({"XDG_CONFIG_HOME": "relative"})
    assert (contexts.names(), contexts.selected()) == ([], "")
    with pytest.raises(CliError, match="no home directory for contexts"):
        contexts.write("prod", PROD)
