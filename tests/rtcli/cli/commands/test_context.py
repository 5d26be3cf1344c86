"""`rtcli context`, and which deployment the commands use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from rtcli.cli.connection import ConnectionOptions, with_context
from rtcli.client.contexts import Context, Contexts
from rtcli.errors import CliError, Exit
from tests.support.http.threaded import reply, threaded_http
from tests.support.processes.rtcli import failed, ok, rtcli
from tests.support.servers.live_server import live_server, token

STAGING = Context(
    "https://rt.example.org", token_file="/t", cacert="/ca", cert="/cert", key="/key", insecure=True
)
Env = Mapping[str, str]


def resolved(
    tmp_path: Path, given: ConnectionOptions, env: Env, *, selected: str = ""
) -> tuple[ConnectionOptions, str]:
    env = {"XDG_CONFIG_HOME": str(tmp_path), **env}
    contexts = Contexts(env)
    contexts.write("staging", STAGING)
    contexts.write("local", Context("localhost:1", secret_file="/s", as_name="Ann"))
    contexts.select(selected)
    return with_context(given, env)


def test_nothing_counts_that_nobody_selected(tmp_path: Path) -> None:
    given = ConnectionOptions()
    assert resolved(tmp_path, given, {}) == (given, "")
    assert resolved(tmp_path, ConnectionOptions(context=""), {}, selected="local")[1] == ""


def test_all_of_a_context_counts(tmp_path: Path) -> None:
    filled, name = resolved(tmp_path, ConnectionOptions(context="staging"), {}, selected="local")
    assert name == "staging"
    assert (filled.url, filled.token_file, filled.insecure) == ("https://rt.example.org", "/t", True)
    assert (filled.cacert, filled.cert, filled.key) == (Path("/ca"), Path("/cert"), Path("/key"))
    filled, name = resolved(tmp_path, ConnectionOptions(), {}, selected="local")
    assert (name, filled.secret_file, filled.as_name) == ("local", Path("/s"), "Ann")


@pytest.mark.parametrize(
    ("given", "env", "url", "name"),
    [
        (ConnectionOptions(url="other:1"), {}, "other:1", ""),
        (ConnectionOptions(url="http://rt.example.org:443"), {}, "http://rt.example.org:443", ""),
        (ConnectionOptions(url="wss://rt.example.org/path"), {}, "wss://rt.example.org/path", "staging"),
        (ConnectionOptions(url="other:1"), {"RTCLI_URL": "other:1"}, "other:1", ""),
        (
            ConnectionOptions(url="other:1", context="local"),
            {"RTCLI_URL": "other:1"},
            "localhost:1",
            "local",
        ),
        (ConnectionOptions(context="local"), {"RTCLI_CONTEXT": "local"}, "localhost:1", "local"),
        (ConnectionOptions(url="other:1", context="local"), {"RTCLI_CONTEXT": "local"}, "other:1", ""),
    ],
)
def test_options_go_before_the_environment_and_that_before_what_is_selected(
    tmp_path: Path, given: ConnectionOptions, env: Env, url: str, name: str
) -> None:
    filled, found = resolved(tmp_path, given, env, selected="staging")
    assert (filled.url, found) == (url, name)
    assert name or (filled.token_file, filled.insecure, filled.cert) == (None, False, None)


def test_two_servers_at_once(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"the context staging is https://rt\.example\.org, and --url other:1"):
        resolved(tmp_path, ConnectionOptions(url="other:1", context="staging"), {})


@pytest.mark.parametrize(
    ("given", "env"),
    [
        (ConnectionOptions(token_file="/mine"), {}),
        (ConnectionOptions(secret_file=Path("/mine")), {}),
        (ConnectionOptions(), {"RTCLI_TOKEN": "a.b.c"}),
    ],
)
def test_another_token_takes_the_place_of_the_context_s(
    tmp_path: Path, given: ConnectionOptions, env: Env
) -> None:
    filled, _ = resolved(tmp_path, given, env, selected="local")
    assert (filled.token_file, filled.secret_file) == (given.token_file, given.secret_file)
    assert filled.url == "localhost:1"


def test_the_commands_use_it(tmp_path: Path) -> None:
    (tmp_path / "t").write_text(token())
    (tmp_path / "t").chmod(0o600)
    with live_server() as server:
        ok_with_status = rtcli(
            "context", "set", "mine", "--url", server.url, "--token-file", "t", home=tmp_path
        )
        assert b"rtcli context use mine" in ok_with_status.stderr
        ok(rtcli("context", "use", "mine", home=tmp_path))
        assert ok(rtcli("context", "list", home=tmp_path)) == f"* mine\t{server.url}\n"
        assert ok(rtcli("publish", "--room", "a", "hello", home=tmp_path)) == ""
        assert ok(rtcli("history", "a", "--context", "mine", home=tmp_path)).endswith("\thello\n")
    shown = ok(rtcli("context", "show", "--json", home=tmp_path)).splitlines()
    first, second = (json.loads(line) for line in shown[:2])
    assert (first["value"], first["from"]) == (server.url, "context mine")
    assert (second["value"], second["from"]) == (f"the file {tmp_path / 't'}", "context mine")
    assert token()[:20] not in "".join(shown)
    ok(rtcli("context", "remove", "mine", home=tmp_path))
    assert ok(rtcli("context", "list", home=tmp_path)) == ""


def test_its_token_goes_to_no_other_server(tmp_path: Path) -> None:
    (tmp_path / "t").write_text(token())
    (tmp_path / "t").chmod(0o600)
    asked: list[str | None] = []
    rtcli("context", "set", "mine", "--url", "https://rt.example.org", "--token-file", "t", home=tmp_path)
    ok(rtcli("context", "use", "mine", home=tmp_path))

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers.get("authorization"))
        reply(handler, 204, b"")

    with threaded_http(answer) as other:
        rtcli("tail-events", f"{other}/stream", "--count", "1", home=tmp_path)
        rtcli("rooms", "--url", other, home=tmp_path)
    assert len(asked) == 2
    assert not any(value and token()[:20] in value for value in asked)


def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    assert "there is no context 'x' yet" in failed(rtcli("context", "set", "x", home=tmp_path), Exit.USAGE)
    assert "there is no context 'x'" in failed(rtcli("context", "use", "x", home=tmp_path), Exit.USAGE)
    assert "there is no context 'x'" in failed(rtcli("rooms", "--context", "x", home=tmp_path), Exit.USAGE)
