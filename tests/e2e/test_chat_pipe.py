from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.processes.command import Run
from tests.support.processes.rtcli import rtcli
from tests.support.servers.server_process import ServerProcess


def test_lines_are_delivered_and_it_ends_with_0(server: ServerProcess, run: Run, tmp_path: Path) -> None:
    listener = run("chat", "--listen", "--json", "-u", server.url, "--as", "bob")
    listener.wait_for('"type":"joined"')
    result = rtcli(
        "chat", "--room", "general", "-u", server.url, "--as", "ann", home=tmp_path, stdin="one\ntwo\n"
    )
    assert (result.returncode, result.stdout) == (0, b"")
    listener.wait_for('"type":"message"', times=2)
    records = [json.loads(line) for line in listener.out.splitlines()]
    said = [(record["from"], record["text"]) for record in records if record["type"] == "message"]
    assert said == [("ann", "one"), ("ann", "two")]


def test_the_same_with_json(server: ServerProcess, tmp_path: Path) -> None:
    stdin = 'one\n{"text":"two\\nlines"}\n\n'
    result = rtcli("chat", "--json", "-u", server.url, home=tmp_path, stdin=stdin)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0
    assert [record["type"] for record in records] == ["joined", "ack", "ack"]
    assert all(next(iter(record)) == "type" and record["ts"].endswith("Z") for record in records)
    history = rtcli("chat", "--history", "9", "-u", server.url, home=tmp_path)
    assert [line.split("\t")[3] for line in history.stdout.decode().splitlines()] == ["one", "two\\nlines"]


def test_with_the_server_down_it_ends_with_3(tmp_path: Path) -> None:
    result = rtcli("chat", "-u", f":{free_port()}", home=tmp_path, stdin="one\n")
    error, hint = result.stderr.decode().splitlines()
    assert result.returncode == 3
    assert "refused the connection" in error
    assert "rtcli serve" in hint
    as_json = rtcli("chat", "--json", "-u", f":{free_port()}", home=tmp_path, stdin="one\n")
    record = json.loads(as_json.stderr)
    assert (record["type"], record["command"], record["exit"], as_json.returncode) == ("error", "chat", 3, 3)


def test_a_server_that_starts_later_is_waited_for(run: Run, tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, development=True)
    try:
        chat = run("chat", "--wait", "30s", "-u", server.url)
        chat.wait_for("-- lost (refused)", stream="err")
        server.start_now()
        chat.wait_for("-- joined #general", stream="err")
        chat.write("hello\n")
        assert chat.end() == 0
    finally:
        server.kill()


def test_a_killed_server_that_starts_again(server: ServerProcess, run: Run) -> None:
    chat = run("chat", "-u", server.url, "--as", "ann", "--json")
    chat.wait_for('"joined"')
    chat.write("before\n")
    chat.wait_for('"ack"')
    server.kill()
    chat.wait_for("-- lost (1006), retrying in", stream="err")
    chat.write("meanwhile\n")
    server.start_now()
    chat.wait_for("-- back after", stream="err")
    chat.wait_for("-- could not resume #general", stream="err")
    chat.wait_for('"ack"', times=2)
    assert chat.end() == 0
    records = [json.loads(line) for line in chat.out.splitlines()]
    gap = next(record for record in records if record["type"] == "gap")
    assert (gap["room"], gap["reason"]) == ("general", "epoch_changed")


def test_a_log_that_outlives_the_server_costs_nothing(run: Run, tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, f"sqlite:{tmp_path}/log.db", development=True)
    server.start_now()
    try:
        chat = run("chat", "--listen", "-u", server.url, "--as", "bob")
        chat.wait_for("-- joined", stream="err")
        rtcli("chat", "-u", server.url, "--as", "ann", home=tmp_path, stdin="before\n")
        chat.wait_for("before\n")
        server.kill()
        chat.wait_for("-- lost", stream="err")
        server.start_now()
        rtcli("chat", "-u", server.url, "--as", "ann", home=tmp_path, stdin="after\n")
        chat.wait_for("-- back after", stream="err")
        chat.wait_for("after\n")
        chat.signal(signal.SIGTERM)
        assert chat.end() == 143
        assert [line.split(b"\t")[3] for line in chat.out.splitlines()] == [b"before", b"after"]
        assert b"could not resume" not in chat.err
    finally:
        server.kill()


def test_lines_that_the_lost_server_did_not_confirm(server: ServerProcess, run: Run) -> None:
    chat = run("chat", "-u", server.url, "--ack-timeout", "500ms")
    chat.wait_for("-- joined", stream="err")
    server.kill()
    chat.wait_for("-- lost", stream="err")
    chat.write("one\ntwo\n")
    assert chat.end() == 3
    assert b"not confirmed: line 1, 2" in chat.err
    assert b"error: 2 of the lines were not confirmed" in chat.err


@pytest.mark.parametrize("ignore_sigint", [False, True])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(server: ServerProcess, run: Run, number: int, code: int, ignore_sigint: bool) -> None:
    chat = run("chat", "--listen", "-u", server.url, ignore_sigint=ignore_sigint)
    chat.wait_for("-- joined", stream="err")
    chat.signal(number)
    assert chat.end() == code


def test_a_reader_that_leaves_ends_a_quiet_chat(server: ServerProcess, run: Run) -> None:
    chat = run("chat", "--listen", "-u", server.url)
    chat.wait_for("-- joined", stream="err")
    assert chat.process.stdout is not None
    chat.process.stdout.close()
    assert chat.process.wait(30) == 0


def test_count_timeout_and_duration(server: ServerProcess, run: Run, tmp_path: Path) -> None:
    chat = run("chat", "--listen", "--count", "2", "--timeout", "30s", "-u", server.url, "--as", "bob")
    chat.wait_for("-- joined", stream="err")
    rtcli("chat", "-u", server.url, "--as", "ann", home=tmp_path, stdin="1\n2\n3\n")
    assert chat.end() == 0
    assert len(chat.out.splitlines()) == 2
    late = rtcli("chat", "--listen", "--count", "1", "--timeout", "300ms", "-u", server.url, home=tmp_path)
    assert late.returncode == 5
    planned = rtcli("chat", "--listen", "--duration", "300ms", "-u", server.url, home=tmp_path)
    assert (planned.returncode, b"error" in planned.stderr) == (0, False)
    assert rtcli("chat", "--timeout", "1s", "-u", server.url, home=tmp_path).returncode == 2


def test_it_stays_for_the_answer(server: ServerProcess, run: Run, tmp_path: Path) -> None:
    chat = run("chat", "--linger", "forever", "--count", "1", "-u", server.url, "--as", "asker")
    chat.wait_for("-- joined", stream="err")
    chat.write("what time is it?\n")
    assert chat.process.stdin is not None
    chat.process.stdin.close()
    chat.process.stdin = None
    rtcli("chat", "-u", server.url, "--as", "clock", home=tmp_path, stdin="noon\n")
    assert chat.end() == 0
    assert chat.out.endswith(b"general\tclock\tnoon\n")


def test_what_others_write_cannot_move_the_terminal(server: ServerProcess, run: Run, tmp_path: Path) -> None:
    evil = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\r\u202e\x9b tab\there"
    chat = run("chat", "--listen", "--count", "1", "-u", server.url, "--as", "bob")
    chat.wait_for("-- joined", stream="err")
    rtcli("chat", "-u", server.url, "--as", "ann", home=tmp_path, stdin=evil + "\n")
    assert chat.end() == 0
    line = chat.out.decode()
    assert line.endswith("\tann\t\\x1b]52;c;ZXZpbA==\\x07\\x1b[2J\\r\\u202e\\x9b tab\\there\n")
    as_json = rtcli("chat", "--history", "1", "--json", "-u", server.url, home=tmp_path).stdout.decode()
    assert "\u202e" not in as_json
    assert json.loads(as_json.splitlines()[1])["text"] == evil


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("x" * 20_000, "20000 characters"),
        ("\U0001f389" * 16_384, "as a message"),
        ("a\0b", "NUL"),
        ("x" * 300_000, "longer than"),
    ],
)
def test_a_line_that_cannot_be_sent_is_named_and_the_others_go(
    server: ServerProcess, tmp_path: Path, line: str, says: str
) -> None:
    result = rtcli("chat", "--json", "-u", server.url, home=tmp_path, stdin=f"one\n{line}\nthree\n")
    assert result.returncode == 6
    assert says in result.stderr.decode()
    assert '"line 2' in result.stderr.decode().splitlines()[-1]
    assert result.stdout.count(b'"ack"') == 2


@pytest.mark.parametrize("room", ["My  Room", " a", "a?", "", "\x1b[31m", "x" * 129, "\u202e"])
def test_a_room_that_cannot_be(tmp_path: Path, room: str) -> None:
    result = rtcli("chat", "--room", room, home=tmp_path)
    assert result.returncode == 2
    assert b"cannot be a room" in result.stderr
    assert b"\x1b" not in result.stderr


def test_tokens(server: ServerProcess, tmp_path: Path) -> None:
    garbage = rtcli("chat", "-u", server.url, home=tmp_path, env={"RTCLI_TOKEN": "a.b.c"})
    assert garbage.returncode == 4
    assert b"refused the token" in garbage.stderr
    (tmp_path / "elsewhere").mkdir()
    none = rtcli("chat", "-u", server.url, home=tmp_path, env={"XDG_STATE_HOME": str(tmp_path / "elsewhere")})
    assert none.returncode == 4
    assert b"no token for" in none.stderr
    expired = rtcli("token", "create", "--sub", "x", "--ttl", "1s", home=tmp_path)
    assert expired.returncode == 0, expired.stderr


def test_rights(server: ServerProcess, tmp_path: Path) -> None:
    token = rtcli("token", "create", "--sub", "x", "--rooms", "dev-*", home=tmp_path)
    assert token.returncode == 0, token.stderr
    result = rtcli(
        "chat",
        "-u",
        server.url,
        "--room",
        "ops",
        home=tmp_path,
        env={"RTCLI_TOKEN": token.stdout.decode().strip()},
    )
    assert result.returncode == 4
    assert result.stderr.decode().splitlines()[-2] == "error: not allowed in #ops"


@pytest.mark.parametrize(
    "arguments", [("--count", "-1"), ("--history", "501"), ("--duration", "5"), ("--wait", "nan")]
)
def test_bad_values(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = rtcli("chat", *arguments, home=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 2


def test_thousands_of_lines_keep_their_order_under_the_rate_limit(
    server: ServerProcess, tmp_path: Path
) -> None:
    lines = [f"line {number}" for number in range(400)]
    result = rtcli("chat", "-u", server.url, home=tmp_path, stdin="\n".join(lines), timeout=50)
    assert result.returncode == 0, result.stderr
    history = rtcli("chat", "--history", "400", "-u", server.url, home=tmp_path)
    assert [line.split("\t")[3] for line in history.stdout.decode().splitlines()] == lines


def test_a_room_that_people_name_in_another_spelling(server: ServerProcess, run: Run, tmp_path: Path) -> None:
    nfc, nfd = "Café, 100 % #1 = x", "Cafe\u0301, 100 % #1 = x"
    chat = run("chat", "--listen", "--count", "3", "-u", server.url, "--as", "bob", "--room", nfc)
    chat.wait_for(f"-- joined #{nfc}", stream="err")
    one = rtcli("chat", "-u", server.url, "--as", "ann", "-r", nfd, home=tmp_path, stdin="one\n")
    assert (one.returncode, one.stderr.decode().count(f"joined #{nfc}")) == (0, 1)
    frame = json.dumps({"room": nfd, "text": "two"})
    two = rtcli("chat", "--json", "-u", server.url, "-r", nfd, home=tmp_path, stdin=f"{frame}\n")
    assert two.stdout.count(b'"ack"') == 1
    three = rtcli("publish", "--ack", "-u", server.url, "-r", nfd, "three", home=tmp_path)
    assert three.returncode == 0, three.stderr
    assert chat.end() == 0
    lines = [line.split("\t") for line in chat.out.decode().splitlines()]
    assert [(line[1], line[3]) for line in lines] == [(nfc, "one"), (nfc, "two"), (nfc, "three")]


def test_a_room_named_like_a_channel_of_other_programs(server: ServerProcess, tmp_path: Path) -> None:
    result = rtcli("chat", "-u", server.url, "-r", "#ops", home=tmp_path, stdin="one\n")
    assert result.returncode == 0
    assert b"joined ##ops" in result.stderr
