from __future__ import annotations

import errno
import socket
import socketserver
import ssl
import threading
from pathlib import Path

import pytest
from typing_extensions import override

from rtcli.client import failures
from rtcli.errors import Exit
from tests.support.http.threaded import reply, threaded_http
from tests.support.processes.rtcli import failed, rtcli

WHERE = "127.0.0.1:8000"


@pytest.mark.parametrize(
    ("status", "exit_code", "retry"),
    [
        (400, Exit.SERVER, False),
        (401, Exit.AUTH, False),
        (403, Exit.AUTH, False),
        (404, Exit.SERVER, False),
        (200, Exit.SERVER, False),
        (408, Exit.CANNOT_CONNECT, True),
        (429, Exit.CANNOT_CONNECT, True),
        (500, Exit.CANNOT_CONNECT, True),
        (503, Exit.CANNOT_CONNECT, True),
    ],
)
def test_statuses(status: int, exit_code: Exit, retry: bool) -> None:
    failure = failures.of_status(status, WHERE, what="no WebSocket")
    assert (failure.error.exit_code, failure.retry) == (exit_code, retry)
    assert str(status) in failure.error.message
    assert WHERE in failure.error.message
    assert failure.error.hint


@pytest.mark.parametrize(
    ("code", "exit_code", "retry"),
    [
        (1000, Exit.CANNOT_CONNECT, False),
        (1001, Exit.CANNOT_CONNECT, True),
        (1002, Exit.SERVER, False),
        (1003, Exit.SERVER, False),
        (1006, Exit.CANNOT_CONNECT, True),
        (1007, Exit.SERVER, False),
        (1008, Exit.AUTH, False),
        (1009, Exit.SERVER, False),
        (1011, Exit.CANNOT_CONNECT, True),
        (1012, Exit.CANNOT_CONNECT, True),
        (1013, Exit.CANNOT_CONNECT, True),
        (4000, Exit.CANNOT_CONNECT, True),
        (4001, Exit.CANNOT_CONNECT, True),
        (4002, Exit.AUTH, True),
        (4003, Exit.CANNOT_CONNECT, True),
        (4500, Exit.AUTH, False),
        (4502, Exit.SERVER, False),
    ],
)
def test_close_codes(code: int, exit_code: Exit, retry: bool) -> None:
    failure = failures.of_close(code, "why", WHERE)
    assert (failure.error.exit_code, failure.retry) == (exit_code, retry)
    assert failure.reason == f"{code} why"


@pytest.mark.parametrize(
    ("error", "word", "retry"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "refused the connection", True),
        (socket.gaierror(socket.EAI_NONAME, "x"), "cannot find the host 127.0.0.1", True),
        (TimeoutError(), "did not answer in time", True),
        (OSError(errno.ENETUNREACH, "x"), "no way to", True),
        (ConnectionResetError(), "closed the connection", True),
        (ssl.SSLEOFError(8, "EOF occurred"), "closed the connection", True),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "127.0.0.1:8000 does not speak TLS", False),
        (ssl.SSLError(1, "TLSV1_ALERT_INTERNAL_ERROR"), "tlsv1 alert internal error", False),
        (EOFError("stream ends"), "closed the connection", True),
        (RuntimeError("odd"), "the connection to 127.0.0.1:8000 failed", True),
        (OSError(errno.EMFILE, "Too many open files"), "failed: Too many open files", True),
    ],
)
def test_network_errors_are_said_in_words(error: Exception, word: str, retry: bool) -> None:
    failure = failures.of_network(error, WHERE)
    assert word in failure.error.message
    assert failure.retry is retry
    assert failure.error.exit_code == Exit.CANNOT_CONNECT


def test_the_cause_is_found_under_wrappers_and_in_groups() -> None:
    group = ExceptionGroup("all attempts failed", [OSError("v6"), ConnectionRefusedError()])
    wrapped = RuntimeError("library says no")
    wrapped.__cause__ = OSError("All connection attempts failed")
    wrapped.__cause__.__cause__ = group
    assert failures.of_network(wrapped, WHERE).reason == "refused"


def test_an_error_that_causes_itself_does_not_hang() -> None:
    error = RuntimeError("x")
    other = RuntimeError("y")
    error.__context__, other.__context__ = other, error
    assert [str(cause) for cause in failures.chain(error)] == ["x", "y"]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("0", 0.0),
        ("-5", None),
        ("1_000", None),
        ("9e99", None),
        ("٣", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("9" * 10, None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert failures.parse_retry_after(header) == seconds


@pytest.mark.parametrize(
    ("status", "exit_code", "retry"),
    [(401, 4, False), (403, 4, False), (404, 6, False), (426, 6, False), (503, 3, True), (429, 3, True)],
)
def test_a_status_of_a_server_that_is_none_of_ours(status: int, exit_code: int, retry: bool) -> None:
    failure = failures.of_foreign_status(status, "host:1", what="no x", said="because", retry_after="7")
    assert (failure.error.exit_code, failure.retry, failure.retry_after_s) == (exit_code, retry, 7)
    assert str(status) in failure.error.message
    assert failure.error.message.endswith(": because")
    assert failure.error.hint
    assert "rtcli" not in failure.error.hint
    assert failure.error.facts == {"status": status}


COMMANDS = {
    "rooms": ("rooms",),
    "publish": ("publish", "--room", "general", "hello"),
    "tail-events": ("tail-events", "--room", "general"),
    "chat": ("chat", "--room", "general", "--listen"),
    "ws": ("ws", "/x"),
}
FULL_PATH = "is that rtcli's port? give the full path with --url ws://host:port/path"
API = "is that rtcli's port? its HTTP API is below /api/v1 there, and a path of --url does not count"


def last_lines(command: str, base: str, home: Path, *, exit_code: int) -> list[str]:
    """The error and the hint of a command for this server."""
    file = home / "t"
    file.write_text("token")
    file.chmod(0o600)
    name, *rest = COMMANDS[command]
    to = (base + rest.pop(0),) if name == "ws" else ("--url", base)
    done = rtcli(name, *rest, *to, "--token-file", str(file), home=home)
    return [line.partition(": ")[2] for line in failed(done, exit_code).splitlines()[-2:]]


@pytest.mark.parametrize("command", COMMANDS)
def test_http_to_a_port_for_tls(command: str, tmp_path: Path) -> None:
    class Alert(socketserver.BaseRequestHandler):
        @override
        def handle(self) -> None:
            self.request.recv(65_536)
            self.request.sendall(b"\x15\x03\x01\x00\x02\x02\x46")  # RFC 8446, section 6: protocol_version

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Alert) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        where = f"127.0.0.1:{server.server_address[1]}"
        said = last_lines(command, f"http://{where}", tmp_path, exit_code=3)
        server.shutdown()
        thread.join()
    what = "broke off the connection, or does not speak HTTP"
    if command in {"chat", "ws"}:
        what = "closed the connection before it stood"
    assert said == [f"{where} {what}", "is it the right port? one for TLS is reached with https:// or wss://"]


@pytest.mark.parametrize("command", COMMANDS)
def test_tls_to_a_port_without(command: str, tmp_path: Path) -> None:
    with threaded_http(lambda handler: reply(handler, 404)) as base:
        where = base.removeprefix("http://")
        said = last_lines(command, f"https://{where}", tmp_path, exit_code=3)
    assert said == [f"{where} does not speak TLS", "does that port speak plain http:// or ws://?"]


@pytest.mark.parametrize(
    ("command", "what", "hint"),
    [
        ("rooms", "no rooms", API),
        ("publish", "no publishing", API),
        ("tail-events", "no event stream", FULL_PATH.replace("ws://", "http://")),
        ("chat", "no WebSocket", FULL_PATH),
        ("ws", "no WebSocket", "is the address right, and the request?"),
    ],
)
def test_a_server_of_others_has_nothing_there(command: str, what: str, hint: str, tmp_path: Path) -> None:
    with threaded_http(lambda handler: reply(handler, 404)) as base:
        where = base.removeprefix("http://")
        assert last_lines(command, base, tmp_path, exit_code=6) == [
            f"{where} answered 404, {what} there",
            hint,
        ]
