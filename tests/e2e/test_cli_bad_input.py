"""Bad input from the command line and the network: two lines, the right code, no traceback."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection

from rtcli.cli.app import COMMANDS
from rtcli.protocol.messages import server as s
from tests.support.certificates import write_certificate
from tests.support.fakes.scripted_server import FakeServer, fake_server
from tests.support.fakes.scripted_stream import fake_stream, hold, status
from tests.support.processes.rtcli import RTCLI, environment, rtcli
from tests.support.servers.server_process import ServerProcess


def two_lines(stderr: bytes) -> None:
    """The error is two lines, and nothing else went wrong."""
    lines = stderr.decode().splitlines()
    assert [line.partition(":")[0] for line in lines[-2:]] == ["error", "hint"], stderr
    assert "Traceback" not in stderr.decode()
    assert "\x1b" not in stderr.decode()


# -- options -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*COMMANDS])
def test_an_option_that_does_not_exist(tmp_path: Path, name: str) -> None:
    result = rtcli(name, "--nonsense", home=tmp_path)
    assert (result.returncode, result.stdout) == (2, b"")
    two_lines(result.stderr)
    assert f"rtcli {name}" in result.stderr.decode()


@pytest.mark.parametrize(
    "arguments",
    [
        ("chat", "--room"),
        ("chat", "--count", "1e9"),
        ("chat", "--linger", "-1s"),
        ("chat", "one", "argument"),
        ("tail-events", "--state"),
        ("tail-events", "--idle-timeout", "inf"),
        ("tail-events", "--duration", "1e309s"),
        ("tail-events", "--output", "yaml"),
        ("tail-events", "--grep", "("),
        ("tail-events", "--exec", ""),
        ("tail-events", "--exec-fail", "maybe"),
        ("tail-events", "--color", "sometimes"),
        ("tail-events", "--cacert", "/does/not/exist", "--url", "https://127.0.0.1:1"),
        ("tail-events", "--key", "/dev/null", "--url", "https://127.0.0.1:1"),
        ("tail-events", "--token-file", "/does/not/exist"),
        ("tail-events", "--secret-file", "/dev/null"),
        ("tail-events", "--header", "@/does/not/exist"),
        ("tail-events", "http://127.0.0.1:1/other", "--room", "general"),
        ("demo", "--out"),
        ("completion", "tcsh"),
        ("completion",),
    ],
)
def test_values_that_cannot_be(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = rtcli(*arguments, home=tmp_path)
    assert (result.returncode, result.stdout) == (2, b""), result.stderr
    two_lines(result.stderr)


@pytest.mark.parametrize("command", ["chat", "tail-events"])
@pytest.mark.parametrize(
    "url",
    [
        "ws:///x",
        "ws://[::1",
        "ws://h:99999",
        "ws://u:hunter2@h/",
        "file:///etc/passwd",
        "http://a b",
        "http://h/#f",
        "",
        "h",
    ],
)
def test_addresses_that_cannot_be(tmp_path: Path, command: str, url: str) -> None:
    result = rtcli(command, "--url", url, home=tmp_path)
    assert result.returncode == 2
    two_lines(result.stderr)
    assert b"hunter2" not in result.stderr


@pytest.mark.parametrize("command", ["chat", "tail-events"])
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://h\u00f6st.invalid", b"xn--hst-sna.invalid"),
        ("wss://no-such-host.invalid", b"cannot find the host"),
    ],
)
def test_hosts_that_are_nowhere(tmp_path: Path, command: str, url: str, says: bytes) -> None:
    result = rtcli(command, "--url", url, home=tmp_path, env={"RTCLI_TOKEN": "a.b.c"})
    assert result.returncode == 3
    two_lines(result.stderr)
    assert says in result.stderr


# -- TLS ---------------------------------------------------------------------------------------------------


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[ServerProcess]:
    cert, key = write_certificate(tmp_path)
    tls = ("--tls-cert", str(cert), "--tls-key", str(key))
    server = ServerProcess(tmp_path, "memory:", *tls, development=True)
    server.start_now()
    yield server
    server.kill()


@pytest.mark.parametrize("command", ["chat", "tail-events"])
def test_certificates(secure: ServerProcess, tmp_path: Path, command: str) -> None:
    common = (command, "--room", "general", "--url", f"https://127.0.0.1:{secure.port}")
    limit = ("--duration", "500ms") if command == "tail-events" else ()
    unknown = rtcli(*common, home=tmp_path)
    assert unknown.returncode == 3
    assert b"is not trusted" in unknown.stderr
    assert b"--cacert" in unknown.stderr
    two_lines(unknown.stderr)
    trusted = rtcli(*common, *limit, "--cacert", str(tmp_path / "cert.pem"), home=tmp_path)
    assert trusted.returncode == 0, trusted.stderr
    assert b"warning" not in trusted.stderr
    unchecked = rtcli(*common, *limit, "-k", home=tmp_path)
    assert unchecked.returncode == 0, unchecked.stderr
    assert unchecked.stderr.startswith(b"warning: --insecure")


@pytest.mark.parametrize("command", ["chat", "tail-events"])
def test_tls_to_a_port_without(tmp_path: Path, command: str) -> None:
    server = ServerProcess(tmp_path, development=True)
    server.start_now()
    try:
        result = rtcli(command, "--url", f"wss://127.0.0.1:{server.port}", home=tmp_path)
        assert result.returncode == 3
        two_lines(result.stderr)
        plain = rtcli("chat", "--url", server.url, home=tmp_path)
        assert plain.returncode == 0, "the server still serves"
    finally:
        server.kill()


# -- what else may listen there ----------------------------------------------------------------------------


async def run(home: Path, *arguments: str) -> tuple[int, bytes, bytes]:
    """Run a command while this test's event loop serves it."""
    process = await asyncio.create_subprocess_exec(
        RTCLI, *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment(home, RTCLI_TOKEN="a.b.c"),
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (status(401), 4),
        (status(403), 4),
        (status(404), 6),
        (status(429, headers="Retry-After: 1\r\n"), 3),
        (status(503), 3),
        (status(301, headers="Location: /stream\r\n"), 6),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 6),
        (b"HTTP/1.1 200 \x1b[31mevil\r\nContent-Type: \x1b]0;x\x07\r\nContent-Length: 2\r\n\r\nhi", 6),
        (b"", 3),
    ],
)
async def test_chat_with_something_else(tmp_path: Path, answer: bytes, code: int) -> None:
    async with fake_stream(answer) as server:
        found, out, err = await run(tmp_path, "chat", "--url", f":{server.port}")
    assert (found, out) == (code, b""), err
    two_lines(err) if found != 3 or b"hint" in err else None


@pytest.mark.parametrize(("close", "code"), [(1008, 4), (4500, 4), (4502, 6), (1013, 3), (1000, 3)])
async def test_a_server_that_closes_says_why_and_cannot_move_the_terminal(
    tmp_path: Path, close: int, code: int
) -> None:
    async def refuse(connection: ServerConnection) -> bool:
        await connection.close(close, "no \x1b[2J\u202e\rway")
        return True

    async with fake_server() as server:
        server.on_connect = refuse
        found, _, err = await run(tmp_path, "chat", "--url", f":{server.port}")
    assert found == code, err
    assert b"no \\x1b[2J\\u202e\\rway" in err
    assert b"\x1b" not in err


async def listen(
    home: Path, act: Callable[[FakeServer, ServerConnection], Awaitable[None]], *more: str
) -> tuple[int, bytes, bytes]:
    """Listen in a room whose server does something odd and then says one last thing."""
    async with fake_server() as server:
        started = asyncio.ensure_future(
            run(
                home,
                "chat",
                "--listen",
                "--count",
                "1",
                "--timeout",
                "20s",
                "--url",
                f":{server.port}",
                *more,
            )
        )
        while not server.members.get("general"):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
        (connection,) = server.connections
        await act(server, connection)
        return await started


def odd(content: str, name: str) -> s.NewMessage:
    return s.NewMessage(
        data=s.NewMessageData(
            room="general",
            content=content,
            sender_id=7,
            sender_name=name,
            timestamp="\x1b[1m",
            offset=1,
            epoch="aaaa",
        )
    )


async def test_names_and_texts_of_a_rogue_server(tmp_path: Path) -> None:
    async def act(server: FakeServer, connection: ServerConnection) -> None:
        await server.say(connection, odd("\x1b]52;c;eA==\x07\r\u202e\ttext", "ev\x9bil\n\x1b[31m"))

    code, out, _ = await listen(tmp_path, act)
    assert code == 0
    assert out.decode() == "\\x1b[1m\tgeneral\tev\\x9bil\\n\\x1b[31m\t\\x1b]52;c;eA==\\x07\\r\\u202e\\ttext\n"


async def test_a_very_long_line_of_a_rogue_server(tmp_path: Path) -> None:
    async def act(server: FakeServer, connection: ServerConnection) -> None:
        await server.say(connection, odd("x" * 100_000, "n" * 10_000))

    code, out, _ = await listen(tmp_path, act, "--json")
    assert code == 0
    assert len(out.splitlines()[-1]) > 100_000, "a pipe gets everything"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x81\x85mask.....",
        b"\x81\x02\xff\xfe",
        b"\xf1\x00",
        b"\x82\x02\x00\x01",
        b"\x81\x7f" + b"\x7f" * 8,
        b"\x81\x09not json!",
    ],
)
async def test_garbage_and_then_it_goes_on(tmp_path: Path, garbage: bytes) -> None:
    async def act(server: FakeServer, connection: ServerConnection) -> None:
        connection.transport.write(garbage)
        await server.publish("general", "after the garbage")

    code, out, err = await listen(tmp_path, act)
    assert code == 0, err
    assert out.endswith(b"after the garbage\n")
    assert b"Traceback" not in err


@pytest.mark.parametrize("command", ["chat", "tail-events"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_server_that_never_answers_can_be_left(
    tmp_path: Path, command: str, number: int, code: int
) -> None:
    async with fake_stream(hold) as server:
        process = await asyncio.create_subprocess_exec(
            RTCLI, command, "--url", f":{server.port}",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=environment(tmp_path, RTCLI_TOKEN="a.b.c"),
        )  # fmt: skip
        async with asyncio.timeout(30):
            while not server.requests:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
            process.send_signal(number)
            out, err = await process.communicate()
    assert (process.returncode, out, err) == (code, b"", b"")
