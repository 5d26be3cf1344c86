"""Every command through a real proxy, which finds each host on loopback; and what is its fault."""

from __future__ import annotations

import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from typing_extensions import override

import rtcli as library
from tests.support.certificates import write_certificate
from tests.support.http.forward_proxy import forward_proxy
from tests.support.http.threaded import reply, threaded_http
from tests.support.ports import free_port
from tests.support.processes.rtcli import failed, ok, rtcli
from tests.support.servers.live_server import LiveServer, live_server, token

NAME = "rt.example.test"  # nobody but the proxy finds it
COMMANDS = {
    "publish": ("publish", "--room", "general", "hello"),
    "rooms": ("rooms",),
    "history": ("history", "general"),
    "chat": ("chat", "--room", "general", "--listen", "--duration", "1s"),
    "tail-events": ("tail-events", "--room", "general", "--duration", "1s"),
    "ws": ("ws", "/api/v1/ws", "--count", "1"),
}
TUNNELLED = ("chat", "ws")
FREE = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_own_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FREE:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server() as running:
        yield running


def write_token(folder: Path) -> None:
    file = folder / "t"
    file.write_text(token("7"))
    file.chmod(0o600)


def arguments(command: str, server: LiveServer, tmp_path: Path) -> tuple[str, ...]:
    write_token(tmp_path)
    name, *rest = COMMANDS[command]
    url = f"http://{NAME}:{server.port}"
    if name == "ws":
        return (name, url + rest[0], "--token-file", str(tmp_path / "t"), *rest[1:])
    return (name, *rest, "--url", url, "--token-file", str(tmp_path / "t"))


@pytest.mark.parametrize("how", ["--proxy", "HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_goes_through_the_proxy(
    server: LiveServer, tmp_path: Path, command: str, how: str
) -> None:
    with forward_proxy(credentials="Basic dTpw") as proxy:
        url = proxy.url.replace("//", "//u:p@")
        given, env = (("--proxy", url), {}) if how == "--proxy" else ((), {how: url})
        done = rtcli(*arguments(command, server, tmp_path), *given, home=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    method = "CONNECT " if command in TUNNELLED else ("POST" if command == "publish" else "GET")
    assert any(asked.startswith(method) and f"{NAME}:{server.port}" in asked for asked in proxy.asked)


@pytest.mark.parametrize(
    ("command", "code"),
    # A proxy's answer to a request that it does not tunnel is not told from the server's, but for 407.
    [*((command, 407) for command in COMMANDS), *((name, code) for name in TUNNELLED for code in (403, 502))],
)
def test_what_a_proxy_refuses_is_its_own(server: LiveServer, tmp_path: Path, command: str, code: int) -> None:
    with forward_proxy(status=code) as proxy:
        done = rtcli(*arguments(command, server, tmp_path), home=tmp_path, env={"http_proxy": proxy.url})
    who = f"the proxy 127.0.0.1:{proxy.port} (http_proxy)"
    where = f"{NAME}:{server.port}"
    message, hint = {
        407: (
            f"{who} wants a user and a password (407)",
            "they go into its URL: http://user:password@host:port",
        ),
        403: (f"{who} does not let us through to {where} (403)", "to go without it: --proxy none"),
        502: (
            f"{who} cannot reach {where} (502)",
            "is the server up? to go without it: --proxy none",
        ),
    }[code]
    assert failed(done, 3).splitlines()[-2:] == [f"error: {message}", f"hint: {hint}"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_proxy_that_is_not_there(server: LiveServer, tmp_path: Path, command: str) -> None:
    port = free_port()
    done = rtcli(*arguments(command, server, tmp_path), home=tmp_path, env={"ALL_PROXY": f"127.0.0.1:{port}"})
    assert failed(done, 3).splitlines()[-2:] == [
        f"error: the proxy 127.0.0.1:{port} (ALL_PROXY) refused the connection",
        "hint: is it up? to go without it: --proxy none",
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_socks_is_refused_by_the_name_of_the_variable(
    server: LiveServer, tmp_path: Path, command: str
) -> None:
    env = {"ALL_PROXY": "socks5h://127.0.0.1:1080"}
    done = rtcli(*arguments(command, server, tmp_path), home=tmp_path, env=env)
    assert failed(done, 2).splitlines()[-2:] == [
        "error: ALL_PROXY 'socks5h://127.0.0.1:1080': SOCKS proxies are not supported, only http:// and https://",
        "hint: a proxy is http://host:port; to go without it: --proxy none",
    ]


def test_tls_goes_through_a_tunnel(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, b"data: hello\n\n", Content_Type="text/event-stream")

    with threaded_http(answer, tls=context) as base, forward_proxy() as proxy:
        port = base.rpartition(":")[2]
        url = f"https://{NAME}:{port}/stream"
        env = {"https_proxy": proxy.url}
        done = rtcli("tail-events", url, "--once", "-k", home=tmp_path, env=env)
        untrusted = rtcli("tail-events", url, "--once", home=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert b"hello" in done.stdout
    assert proxy.asked == [f"CONNECT {NAME}:{port}"] * 2
    assert f"error: the certificate of {NAME}:{port} is not trusted" in failed(untrusted, 3), (
        "not the proxy's"
    )


def test_a_tunnel_for_tls_that_is_refused(tmp_path: Path) -> None:
    with forward_proxy(status=403) as proxy:
        done = rtcli("tail-events", f"https://{NAME}/s", "--proxy", proxy.url, home=tmp_path)
    assert failed(done, 3).splitlines()[-2:] == [
        f"error: the proxy 127.0.0.1:{proxy.port} does not let us through to {NAME}:443 (403)",
        "hint: to go without it: --proxy none",
    ]


def test_a_proxy_that_speaks_something_else(server: LiveServer, tmp_path: Path) -> None:
    """A WebSocket's tunnel is asked for, and what answers is no HTTP."""

    class Handler(socketserver.StreamRequestHandler):
        @override
        def handle(self) -> None:
            self.request.recv(65_536)
            self.wfile.write(b"220 smtp\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as other:
        threading.Thread(target=other.serve_forever, args=(0.01,), daemon=True).start()
        where = f"127.0.0.1:{other.server_address[1]}"
        done = rtcli(*arguments("chat", server, tmp_path), "--proxy", where, home=tmp_path)
        other.shutdown()
    assert failed(done, 3).splitlines()[-2:] == [
        f"error: the proxy {where} does not answer as an HTTP proxy does", "hint: is it one?",
    ]  # fmt: skip


def test_none_goes_directly(server: LiveServer, tmp_path: Path) -> None:
    write_token(tmp_path)
    env = {"HTTP_PROXY": "socks5://127.0.0.1:1"}
    given = ("--url", f"127.0.0.1:{server.port}", "--token-file", str(tmp_path / "t"))
    ok(rtcli("rooms", *given, home=tmp_path, env=env))  # this machine
    ok(rtcli("rooms", *given, "--proxy", "none", home=tmp_path, env=env))


def test_a_context_has_a_proxy(server: LiveServer, tmp_path: Path) -> None:
    write_token(tmp_path)
    url = f"http://{NAME}:{server.port}"
    with forward_proxy() as proxy:
        made = rtcli(
            "context",
            "set",
            "far",
            "--url",
            url,
            "--token-file",
            "t",
            "--proxy",
            proxy.url,
            home=tmp_path,
        )
        assert made.returncode == 0, made.stderr
        ok(rtcli("rooms", "--context", "far", home=tmp_path, env={"HTTP_PROXY": "http://127.0.0.1:1"}))
        shown = ok(rtcli("context", "show", "far", home=tmp_path))
        done = rtcli("context", "set", "far", "--proxy", "http://u:p@127.0.0.1:1", home=tmp_path)
    assert proxy.asked
    assert f"proxy     {proxy.url}  (context far)" in shown.splitlines()
    error, hint = failed(done, 2).splitlines()[-2:]
    assert error.endswith("far.toml: no password of a proxy is kept here")
    assert hint == "hint: HTTPS_PROXY may have one"


def test_context_show_names_the_variable_and_no_password(tmp_path: Path) -> None:
    env = {"HTTPS_PROXY": "http://u:s3cret@p.example:3128", "RTCLI_URL": "https://rt.example.test"}
    text = ok(rtcli("context", "show", "--json", home=tmp_path, env=env))
    settings = {record["name"]: record for record in map(json.loads, text.splitlines())}
    assert settings["proxy"] == {
        "type": "setting", "name": "proxy", "value": "p.example:3128", "from": "HTTPS_PROXY",
    }  # fmt: skip
    env["NO_PROXY"] = ".example.test"
    assert "p.example" not in ok(rtcli("context", "show", home=tmp_path, env=env))


async def test_the_library_goes_through_one_too(server: LiveServer) -> None:
    url = f"http://{NAME}:{server.port}"
    with forward_proxy() as proxy:
        async with library.connect(url, token=token("7"), proxy=proxy.url) as client:
            await client.publish("general", "hello")
        async with library.events(url, rooms=["general"], token=token("7"), proxy=proxy.url):
            pass
    assert {asked.split(" ")[0] for asked in proxy.asked} == {"CONNECT", "POST", "GET"}
    with pytest.raises(library.UsageError, match="proxy= 'socks5://p:1': SOCKS proxies are not supported"):
        library.connect(url, proxy="socks5://p:1")


async def test_a_failing_proxy_is_an_error_of_the_library() -> None:
    with forward_proxy(status=407) as proxy, pytest.raises(library.CannotConnectError, match="wants a user"):
        async with library.connect(f"http://{NAME}:1", token="t", proxy=proxy.url):
            pass
