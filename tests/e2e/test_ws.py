"""`rtcli ws` as it is installed, against servers that others wrote: `websockets`, Node's `ws`, our own."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rtcli.protocol.paths import WEBSOCKET_PATH
from tests.support.certificates import write_certificate
from tests.support.fakes.echo_websocket import EchoServer, echo_websocket
from tests.support.fakes.liars import frame_head, head, lying_websocket, send_frames
from tests.support.fakes.scripted_stream import fake_stream, status
from tests.support.paths import NODE
from tests.support.processes.command import Run
from tests.support.processes.rtcli import failed, ok, rtcli, start
from tests.support.servers.server_process import ServerProcess
from tests.support.waiting import wait_until


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    with echo_websocket() as server:
        yield server


@pytest.fixture
def node() -> Iterator[str]:
    process = subprocess.Popen(["node", str(NODE / "echo_server.mjs")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    yield f"ws://127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.communicate()


def records(text: str | bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


# -- what is sent and what comes ---------------------------------------------------------------------------


def test_arguments_are_sent_and_stdin_is_not_touched(echo: EchoServer, tmp_path: Path) -> None:
    result = rtcli("ws", "-q", echo.url, "one", "", "two", "-n", "3", home=tmp_path, stdin="three\n")
    assert ok(result) == "one\n\ntwo\n"
    assert echo.received == [["one", "", "two"]]
    assert echo.closed == [(1000, "")]


def test_lines_of_a_pipe_are_sent_in_their_order_and_empty_ones_left_out(
    echo: EchoServer, tmp_path: Path
) -> None:
    lines = "\ufeffone\r\n\ntwo\n" + "".join(f"{number}\n" for number in range(500)) + "last"
    result = rtcli("ws", "-q", echo.url, "-n", "503", home=tmp_path, stdin=lines)
    assert ok(result).splitlines() == ["one", "two", *map(str, range(500)), "last"]


def test_a_file_and_all_of_stdin(echo: EchoServer, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("login\nsubscribe\n")
    (tmp_path / "image").write_bytes(b"\0\xff\n\r")
    sent = ("ws", "-q", echo.url, "-n")
    assert ok(rtcli(*sent, "2", "@lines", home=tmp_path)) == "login\nsubscribe\n"
    assert ok(rtcli(*sent, "1", "--whole", home=tmp_path, stdin='{\n "a": 1\n}\n')) == '{\n "a": 1\n}\n\n'
    assert rtcli(*sent, "1", "-b", "raw", "@image", home=tmp_path).stdout == b"\0\xff\n\r"
    assert rtcli(*sent, "1", "-b", "raw", home=tmp_path, stdin=b"\xfe\n\n").stdout == b"\xfe\n\n"
    assert ok(rtcli(*sent, "2", "-b", "hex", home=tmp_path, stdin="00 ff\n0A\n")) == "00ff\n0a\n"
    assert ok(rtcli(*sent, "1", "-b", "base64", "AP8=", home=tmp_path)) == "AP8=\n"
    flat = [message for messages in echo.received for message in messages]
    assert flat == [
        *("login", "subscribe", '{\n "a": 1\n}\n', b"\0\xff\n\r", b"\xfe\n\n", b"\0\xff", b"\n", b"\0\xff")
    ]


def test_the_handshake_says_what_the_options_say(echo: EchoServer, tmp_path: Path) -> None:
    result = rtcli(
        *("ws", echo.url + "/path?token=s3cret", "x", "-n", "1", "-v"),
        *("-s", "chat.v1", "-s", "chat.v2", "-o", "https://a.example", "--cookie", "a=1", "--cookie", "b=2"),
        *("-H", "X-Trace: 7", "-H", "User-Agent: me", "-H", "Host: h", "-H", "Authorization: Bearer s3cret"),
        home=tmp_path,
        env={"RTCLI_TOKEN_FILE": "/does/not/exist", "RTCLI_TOKEN": "s3cret"},
    )
    assert (result.returncode, result.stdout) == (0, b"x\n")
    (head,) = echo.heads
    assert head.get_all("Authorization") == ["Bearer s3cret"]
    assert head.get_all("Host") == ["h"]
    assert head.get_all("User-Agent") == ["me"]
    assert (head["Origin"], head["Cookie"], head["X-Trace"]) == ("https://a.example", "a=1; b=2", "7")
    said = result.stderr.decode()
    assert "s3cret" not in said
    for text in ("> GET /path?… HTTP/1.1", "> X-Trace: 7", "< HTTP/1.1 101 Switching", "subprotocol chat.v2"):
        assert text in said
    assert "s > text, 1 byte  x" in said
    assert "s < close, 2 bytes  1000" in said


def test_no_token_of_ours_goes_to_another_server(echo: EchoServer, tmp_path: Path) -> None:
    (tmp_path / "t").write_text("a.b.c")
    env = {"RTCLI_TOKEN_FILE": str(tmp_path / "t"), "RTCLI_TOKEN": "a.b.c"}
    for more in ((), ("--token-file", "own")):
        (tmp_path / "own").write_text("d.e.f")
        (tmp_path / "own").chmod(0o600)
        ok(rtcli("ws", "-q", echo.url, "x", "-n", "1", *more, home=tmp_path, env=env))
    assert [head.get_all("Authorization") for head in echo.heads] == [[], ["Bearer d.e.f"]]


def test_records_of_both_ways_and_the_same_in_a_file(echo: EchoServer, tmp_path: Path) -> None:
    sent = ("hi", "ping", "fragments a b", "close 4001 bye")
    result = rtcli("ws", echo.url, *sent, "--json", "--record", "r.ndjson", home=tmp_path)
    assert result.returncode == 6
    assert (tmp_path / "r.ndjson").read_bytes() == result.stdout
    assert stat.S_IMODE((tmp_path / "r.ndjson").stat().st_mode) == 0o600
    rows = records(result.stdout)
    assert [row["type"] for row in rows] == ["open", *["frame"] * (len(rows) - 2), "closed"]
    by_way = {
        way: [(row["opcode"], row.get("data")) for row in rows if row.get("direction") == way]
        for way in ("in", "out")
    }
    assert by_way["in"] == [("text", "hi"), ("ping", "are you there"), ("text", "ab"), ("close", None)]
    assert by_way["out"].count(("pong", "are you there")) == 1
    assert [row["data"] for row in rows if (row.get("direction"), row.get("opcode")) == ("out", "text")] == [
        *sent
    ]
    assert rows[-1] == rows[-1] | {"code": 4001, "reason": "bye", "by": "server"}
    (error,) = records(result.stderr.splitlines()[-1])
    assert (error["exit"], error["close_code"], error["close_reason"]) == (6, 4001, "bye")


def test_what_a_terminal_would_obey_is_escaped_unless_raw(echo: EchoServer, tmp_path: Path) -> None:
    evil = "\x1b]0;title\x07\tx\u202e"
    sent = ("ws", "-q", echo.url, evil, "-n", "1")
    assert ok(rtcli(*sent, home=tmp_path)) == "\\x1b]0;title\\x07\tx\\u202e\n"
    assert ok(rtcli(*sent, "--raw", home=tmp_path)) == f"{evil}\n"


def test_slash_commands_in_a_pipe_only_when_asked_for(echo: EchoServer, tmp_path: Path) -> None:
    result = rtcli("ws", echo.url, "--slash", home=tmp_path, stdin="//x\n/close 4000 so long\n")
    assert (result.returncode, echo.received) == (0, [["/x"]])
    assert echo.closed == [(4000, "so long")]
    assert b"-- pong after " in rtcli("ws", echo.url, "--slash", home=tmp_path, stdin="/ping me\n").stderr
    assert ok(rtcli("ws", "-q", echo.url, "-n", "1", home=tmp_path, stdin="/ping\n")) == "/ping\n"


# -- how it ends -------------------------------------------------------------------------------------------


ENDINGS = [
    ("close 1001 why", 3, "closed the connection (1001 why): it is going away"),
    ("close 1008 why", 4, "refused this connection (1008 why)"),
    ("close 1012 why", 3, "(1012 why): it restarts"),
    ("close 1011 why", 6, "(1011 why): it has failed"),
    ("close 4001 why", 6, "closed the connection (4001 why)"),
    ("drop", 3, "dropped the connection (1006)\nhint: to connect again after a loss: --reconnect"),
]


def test_the_exit_code_is_that_of_the_close_code(echo: EchoServer, tmp_path: Path) -> None:
    for text, exit_code, says in ENDINGS:
        assert says in failed(rtcli("ws", echo.url, text, home=tmp_path), exit_code)
    normal = rtcli("ws", echo.url, "close 1000 fine", home=tmp_path)
    assert (normal.returncode, normal.stdout) == (0, b"")
    assert normal.stderr.endswith(b"-- closed by the server (1000 fine)\n")


def test_nodes_server(node: str, tmp_path: Path) -> None:
    one = ("ws", "-q", node, "-n", "1")
    runs = [(*one, "hi", "-s", "a"), (*one, "-b", "hex", "00ff"), ("ws", node, "close"), ("ws", node, "die")]
    text, binary, closed, died = (rtcli(*run, home=tmp_path) for run in runs)
    assert (ok(text), ok(binary)) == ("hi\n", "00ff\n")
    assert closed.returncode == 0
    assert closed.stderr.endswith(b"-- closed by the server (1005)\n")
    failed(died, 3)


def test_our_own_server_with_its_token(server: ServerProcess, tmp_path: Path) -> None:
    join = '{"type":"join_room","data":{"room":"r"},"id":"1"}'
    expect = ("--expect-json", "type=room_joined", "--expect-json", "id=1", "--timeout", "20s")
    result = rtcli("ws", "-q", "-u", server.url, *expect, home=tmp_path, stdin=join + "\n")
    assert [row["type"] for row in records(ok(result))] == ["pong", "room_joined"]
    said = failed(rtcli("ws", server.url + WEBSOCKET_PATH, home=tmp_path), 4)
    assert "wants credentials (401)" in said or "(1008 " in said
    result = rtcli("ws", "-q", server.url + WEBSOCKET_PATH, "--as", "ann", "-n", "1", home=tmp_path)
    assert records(ok(result))[0]["type"] == "pong"


def test_what_is_expected_ends_it(echo: EchoServer, tmp_path: Path) -> None:
    sent = ("ws", "-q", echo.url)
    runs = [
        (*sent, "a", "b", "-e", "b", "-e", "a", "--timeout", "20s"),
        (*sent, "a", "-e", "b", "--linger", "100ms"),
        (*sent, "a", "-e", "b", "-n", "1"),
        (*sent, "close 1000 fine", "--expect-json", "a=1"),
        (*sent, "quiet", "-n", "2", "--timeout", "300ms"),
    ]
    met, silent, enough, closed, late = (rtcli(*run, home=tmp_path) for run in runs)
    assert ok(met) == "a\nb\n"
    said = "error: nothing came for --expect 'b' in time\nhint: wait longer with --linger\n"
    assert failed(silent, 5) == said
    assert "nothing came for --expect 'b'" in failed(enough, 6)
    said = "closed the connection (1000 fine), and nothing came for --expect-json a=1"
    assert said in failed(closed, 6)
    assert "not done within" in failed(late, 5)


def test_what_was_not_sent_is_an_error(echo: EchoServer, tmp_path: Path) -> None:
    lines = "close 1000 enough\n" + "x\n" * 100_000
    said = failed(rtcli("ws", echo.url, home=tmp_path, stdin=lines), 3)
    assert "(1000 enough) before all of the input was sent" in said


def test_after_a_loss_it_connects_again_and_says_first_what_is_said_first(
    echo: EchoServer, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "login").write_text("quiet login\nquiet subscribe\n")
    first = ("--on-open", "@login", "--on-open", "quiet go")
    command = run("ws", echo.url, *first, "--reconnect", "--close", "4000 over")
    command.write("one\n")
    command.wait_for("one")
    command.write("drop\n")
    command.wait_for("-- lost (1006), retrying in", stream="err")
    command.write("two\n")
    command.wait_for("two")
    command.wait_for("-- back after", stream="err")
    assert command.end() == 0
    opening = ["quiet login", "quiet subscribe", "quiet go"]
    assert echo.received == [[*opening, "one", "drop"], [*opening, "two"]]
    assert echo.closed[-1] == (4000, "over")


def test_no_reconnection_after_a_code_that_forbids_it(echo: EchoServer, tmp_path: Path) -> None:
    failed(rtcli("ws", echo.url, "close 1008 no", "--reconnect", home=tmp_path), 4)
    assert len(echo.received) == 1


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_close_the_connection(echo: EchoServer, run: Run, number: int, exit_code: int) -> None:
    command = run("ws", echo.url, "--listen", ignore_sigint=True)
    command.wait_for("-- connected", stream="err")
    command.signal(number)
    assert command.end() == exit_code
    wait_until(lambda: echo.closed == [(1000, "")], "the server sees the end")


def test_a_reader_that_goes_ends_it_also_while_nothing_comes(echo: EchoServer, tmp_path: Path) -> None:
    process = start("ws", echo.url, "--listen", home=tmp_path)
    assert process.stderr is not None
    assert process.stdout is not None
    assert b"connected" in process.stderr.readline()
    process.stdout.close()
    assert process.wait(20) == 0
    process.communicate()


def test_a_planned_end(echo: EchoServer, tmp_path: Path) -> None:
    assert rtcli("ws", echo.url, "--listen", "--duration", "200ms", home=tmp_path).returncode == 0
    assert echo.closed == [(1000, "")]


# -- servers that nobody trusts ----------------------------------------------------------------------------


async def test_a_flood_into_a_reader_that_has_stopped(tmp_path: Path) -> None:
    """The memory stays small, and a signal ends it although stdout is stuck."""
    flood = send_frames(b"", (frame_head(1, 10_000) + b"x" * 10_000) * 20)
    async with lying_websocket(flood) as port:
        process = start("ws", f"ws://127.0.0.1:{port}", "--json", home=tmp_path)
        try:
            one = psutil.Process(process.pid)
            assert process.stdout is not None
            await asyncio.to_thread(process.stdout.readline)
            peak = 0
            for _ in range(40):
                await asyncio.sleep(0.025)
                peak = max(peak, one.memory_info().rss)
            assert peak < 120 * 1024 * 1024
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 20) == 143
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("frames", "again", "says"),
    [
        (frame_head(1, 2**40), b"x" * 1_000, "sent a message of more than 16777216 bytes (1009)"),
        (frame_head(1, 2) + b"\xff\xfe", b"", "sent a text that is not UTF-8 (1007)"),
    ],
    ids=["huge", "not UTF-8"],
)
async def test_frames_that_are_none(tmp_path: Path, frames: bytes, again: bytes, says: str) -> None:
    async with lying_websocket(send_frames(frames, again)) as port:
        url = f"ws://127.0.0.1:{port}"
        result = await asyncio.to_thread(rtcli, "ws", "--listen", url, home=tmp_path)
    assert says in failed(result, 6)


# -- bad input ---------------------------------------------------------------------------------------------


BAD_OPTIONS: list[tuple[tuple[str, ...], str, str]] = [
    (("example.com",), "'example.com' is not a server's URL: it has no scheme", "a URL is http"),
    (("ws://u:hunter2@h/",), "ws://***@h/: no user or password in a URL", "a token comes from"),
    (("ws://h", "--binary", "octal"), "invalid value for '--binary'", "see: rtcli ws -h"),
    (("ws://h", "-b", "hex", "0g"), "'0g' is not hex", "--binary hex reads lines like: 00 ff 10"),
    (("ws://h", "-b", "raw", "x"), "'x': raw bytes are no argument", "--binary raw @FILE, or from stdin"),
    (("ws://h", "@none"), "@none: no such file or directory", "a text that begins with @ can come"),
    (("ws://h", "--on-open", "@none"), "@none: no such file or directory", "a text that begins"),
    (("ws://h", "--on-open", "@latin"), "@latin: line 2 is not UTF-8 text", "bytes are sent with"),
    (("ws://h", "--expect-json", "a"), "--expect-json 'a' is not PATH=VALUE", "--expect-json data.st"),
    (("ws://h", "--close", "999"), "--close has no close code that can be sent: 999", "1000 to 1003"),
    (("ws://h", "--subprotocol", "a,b"), "--subprotocol 'a,b' is no name", "several are offered"),
    (("ws://h", "--origin", "a\nb"), "--origin: printable ASCII is wanted", "--origin https://example"),
    (("ws://h", "-H", "Upgrade: x"), "-H Upgrade: the handshake needs its own", "a subprotocol is"),
    (("ws://h", "-H", "x"), "a header is not 'Name: value'", "-H 'X-Trace: 7'"),
    (("ws://h", "x", "--whole"), "--whole is about stdin", "leave out one"),
    (("ws://h", "--listen", "--slash"), "--listen does not read stdin", "leave out"),
    (("ws://h", "-e", "x", "--duration", "1s"), "--duration ends with 0", "with --expect: --timeout"),
    (("ws://h", "-n", "0"), "--count 0: nothing would be waited for", "--count 1"),
    (("ws://h", "--ping-interval", "0s"), "--ping-interval 0s: pings without a pause", "--ping-interval for"),
    (("ws://h", "--linger", "5"), "invalid value for '--linger'", "see: rtcli ws -h"),
    (("ws://h", "--max-size", "big"), "invalid value for '--max-size'", "see: rtcli ws -h"),
    (("ws://h", "--record", "latin"), "--record latin: there is such a file already", "choose another"),
    (("ws://h", "--record", "no/dir"), "--record no/dir: no such file or directory", "choose another"),
]


def test_bad_options(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"a\n\xe4\n")
    for arguments, error, hint in BAD_OPTIONS:
        result = rtcli("ws", *arguments, home=tmp_path)
        said = failed(result, 2).splitlines()
        assert said[0].startswith(f"error: {error}")
        assert said[1].startswith(f"hint: {hint}")
        assert result.stdout == b""
        assert b"hunter2" not in result.stderr


def test_bad_input_names_its_line_and_what_was_before_it_is_sent(echo: EchoServer, tmp_path: Path) -> None:
    said = failed(rtcli("ws", "-q", echo.url, home=tmp_path, stdin=b"one\n\n\xe4\nmore\n"), 2)
    assert said == (
        "error: line 3 is not UTF-8 text\n"
        "hint: bytes are sent with --binary raw, or written as --binary hex or base64\n"
    )
    assert echo.received == [["one"]]
    assert echo.closed == [(1000, "")]
    said = failed(rtcli("ws", "-q", echo.url, "-b", "hex", home=tmp_path, stdin="00\nxy\n"), 2)
    assert said.startswith("error: line 2 is not hex\n")
    said = failed(rtcli("ws", "-q", echo.url, "--slash", home=tmp_path, stdin="/pin\n"), 2)
    assert said.startswith("error: line 1 has an unknown command /pin\nhint: did you mean /ping? ")


def test_servers_that_are_none(tmp_path: Path, server: ServerProcess) -> None:
    said = failed(rtcli("ws", "ws://127.0.0.1:1", home=tmp_path), 3)
    assert said == "error: 127.0.0.1:1 refused the connection\nhint: is the address right? -v says more\n"
    said = failed(rtcli("ws", "ws://no-such-host.invalid", home=tmp_path), 3)
    assert said.startswith("error: cannot find the host no-such-host.invalid\n")
    said = failed(rtcli("ws", f"{server.url}/no/such/path", home=tmp_path), 6)
    assert "answered 404, no WebSocket there: There is nothing here" in said
    assert "hint: is the address right, and the request?" in said


async def test_an_answer_says_why_and_a_redirect_is_named(tmp_path: Path) -> None:
    why = head(400, Content_Type="text/plain") + b"no subprotocol\x1b[31m\nor so"
    moved = status(302, headers="Location: ws://other.invalid/\r\n")
    async with fake_stream(why, moved) as stream:
        url = f"ws://127.0.0.1:{stream.port}"
        result = await asyncio.to_thread(rtcli, "ws", url, "-v", "-H", "X-A: 7", home=tmp_path)
        assert b".. > GET / HTTP/1.1\n" in result.stderr
        assert b".. > X-A: 7\n" in result.stderr
        assert b".. < HTTP/1.1 400 X after " in result.stderr
        assert "answered 400, no WebSocket there: no subprotocol\\x1b[31m\n" in failed(result, 6)
        result = await asyncio.to_thread(rtcli, "ws", url, home=tmp_path)
        assert "redirects to another server, ws://other.invalid:80" in failed(result, 6)


def test_a_certificate_of_ones_own(tmp_path: Path) -> None:
    cert, key = write_certificate(tmp_path)
    tls = ("--tls-cert", str(cert), "--tls-key", str(key))
    server = ServerProcess(tmp_path, "memory:", *tls, development=True)
    server.start_now()
    try:
        url = server.url.replace("https", "wss").replace("http:", "wss:") + WEBSOCKET_PATH
        said = failed(rtcli("ws", url, "--as", "a", "-n", "1", home=tmp_path), 3)
        assert "is not trusted" in said
        trusting = ("--cacert", str(cert))
        ok(rtcli("ws", "-q", url, "--as", "a", "-n", "1", *trusting, home=tmp_path))
    finally:
        server.kill()
