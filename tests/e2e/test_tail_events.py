from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from rtcli.protocol import create_token
from tests.support.fakes.scripted_stream import HEAD, fake_stream, hold, status
from tests.support.ports import free_port
from tests.support.processes.command import Run
from tests.support.processes.rtcli import RTCLI, environment, rtcli
from tests.support.servers.server_process import SECRET, ServerProcess


def say(server: ServerProcess, *texts: str, room: str = "general") -> None:
    """Publish texts as Ann."""
    stdin = "".join(f"{text}\n" for text in texts)
    result = rtcli("chat", "-r", room, "-u", server.url, "--as", "ann", home=server.home, stdin=stdin)
    assert result.returncode == 0, result.stderr


def contents(out: bytes) -> list[str]:
    records = [json.loads(line) for line in out.splitlines()]
    return [record["data"]["content"] for record in records if record["type"] == "event"]


def test_what_is_said_appears(server: ServerProcess, run: Run) -> None:
    tail = run("tail-events", "--room", "general", "-u", server.url)
    tail.wait_for("-- following #general", stream="err")
    say(server, "one", "two \x1b[2J\u202e")
    tail.wait_for("ann: two")
    first, second = tail.out.decode().splitlines()
    assert first.split("  ")[1:] == ["general", "new_message", "ann: one"]
    assert second.endswith("ann: two \\x1b[2J\\u202e")


def test_what_is_for_others_or_for_this_stream_alone(tmp_path: Path, run: Run) -> None:
    server = ServerProcess(tmp_path, f"sqlite:{tmp_path}/log.db")
    server.start_now()
    token = create_token(SECRET, sub="ann", now=time.time())
    headers = {"Authorization": f"Bearer {create_token(SECRET, sub='app', now=time.time(), scope='publish')}"}
    (tmp_path / "token").write_text(token)
    (tmp_path / "token").chmod(0o600)

    def post(path: str, **body: object) -> None:
        httpx.post(
            f"{server.url}/api/v1{path}", json=body, headers=headers, trust_env=False
        ).raise_for_status()

    arguments = (
        "tail-events",
        "--room",
        "general",
        "-u",
        server.url,
        "--token-file",
        str(tmp_path / "token"),
        "--json",
    )
    try:
        tail = run(*arguments, "--event", "ready", "--event", "news", "--event", "direct", "--fail-on-gap")
        tail.wait_for('"connection_id"')
        name = json.loads(tail.out.splitlines()[0])["data"]["connection_id"]
        for number, exclude in enumerate((None, {"users": ["ann"]}, {"connections": [name]}, None)):
            post("/users/ann/events", event="news", data={"n": number}, exclude=exclude)
            post(f"/connections/{name}/events", event="hint", data={"n": number})
        tail.wait_for('{"event":"hint","data":{"n":3}}')
        shown = [json.loads(line) for line in tail.out.splitlines()][1:]
        assert [record["data"]["n"] for record in shown if record["event"] == "news"] == [0, 3]
        hints = [record["data"]["data"]["n"] for record in shown if record["event"] == "direct"]
        assert hints == [0, 1, 2, 3]
        assert b"again" not in tail.err
    finally:
        server.kill()


def test_a_killed_server_that_starts_again(server: ServerProcess, run: Run) -> None:
    tail = run("tail-events", "--room", "general", "-u", server.url, "--json")
    tail.wait_for("-- following", stream="err")
    say(server, "before")
    tail.wait_for("before")
    server.kill()
    tail.wait_for("-- lost (", stream="err")
    server.start_now()
    tail.wait_for("-- back after", stream="err")
    tail.wait_for("-- gap in #general", stream="err")
    tail.wait_for('"type":"gap"')
    say(server, "after")
    tail.wait_for("after")
    assert contents(tail.out) == ["before", "after"]
    gap = next(record for record in map(json.loads, tail.out.splitlines()) if record["type"] == "gap")
    assert (gap["room"], gap["reason"]) == ("general", "epoch_changed")


def test_a_log_that_outlives_the_server_is_caught_up_with(run: Run, tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, f"sqlite:{tmp_path}/log.db", development=True)
    server.start_now()
    try:
        tail = run("tail-events", "--room", "general", "-u", server.url, "--json")
        tail.wait_for("-- following", stream="err")
        say(server, "before")
        tail.wait_for("before")
        server.kill()
        tail.wait_for("-- lost", stream="err")
        server.start_now()
        say(server, "a", "b")
        tail.wait_for("-- back after", stream="err")
        tail.wait_for('"b"')
        say(server, "c")
        tail.wait_for('"c"')
        assert contents(tail.out) == ["before", "a", "b", "c"]
        assert b"gap" not in tail.out + tail.err
    finally:
        server.kill()


def test_state_goes_on_where_it_stopped(server: ServerProcess, run: Run, tmp_path: Path) -> None:
    state = tmp_path / "seen.json"
    arguments = ("tail-events", "-r", "general", "-u", server.url, "--json", "--state", str(state))
    created = rtcli(*arguments, "--count", "0", home=tmp_path)
    assert (created.returncode, created.stdout) == (0, b"")
    assert state.stat().st_mode & 0o777 == 0o600
    say(server, "1", "2", "3")
    first = rtcli(*arguments, "--count", "2", home=tmp_path)
    second = rtcli(*arguments, "--no-follow", home=tmp_path)
    third = rtcli(*arguments, "--no-follow", home=tmp_path)
    assert [contents(one.stdout) for one in (first, second, third)] == [["1", "2"], ["3"], []]
    assert {first.returncode, second.returncode, third.returncode} == {0}
    say(server, "4")
    tail = run(*arguments)
    tail.wait_for('"4"')
    busy = rtcli(*arguments, home=tmp_path)
    assert busy.returncode == 2
    assert b"another tail is using" in busy.stderr
    tail.signal(signal.SIGTERM)
    assert tail.end() == 143
    assert contents(rtcli(*arguments, "--no-follow", home=tmp_path).stdout) == []
    other = rtcli("tail-events", "-r", "other", "-u", server.url, "--state", str(state), home=tmp_path)
    assert other.returncode == 2
    assert b"--state-reset" in other.stderr


def test_a_killed_tail_repeats_and_never_loses(server: ServerProcess, run: Run, tmp_path: Path) -> None:
    state = tmp_path / "seen.json"
    arguments = ("tail-events", "-r", "general", "-u", server.url, "--json", "--state", str(state))
    rtcli(*arguments, "--count", "0", home=tmp_path)
    seen: list[str] = []
    for number in range(3):
        tail = run(*arguments)
        tail.wait_for("-- following", stream="err")
        say(server, f"{number}a", f"{number}b")
        tail.wait_for(f'"{number}b"')
        tail.signal(signal.SIGKILL)
        tail.kill()
        seen += contents(tail.out)
    seen += contents(rtcli(*arguments, "--no-follow", home=tmp_path).stdout)
    assert list(dict.fromkeys(seen)) == ["0a", "0b", "1a", "1b", "2a", "2b"]


def test_resume_from_an_id_and_what_is_gone(server: ServerProcess, tmp_path: Path) -> None:
    arguments = ("tail-events", "-r", "general", "-u", server.url, "--json", "--no-follow")
    say(server, "1", "2")
    bad = rtcli(*arguments, "--last-id", "rubbish", "--fail-on-gap", home=tmp_path)
    assert bad.returncode == 6
    assert b"invalid_cursor" in bad.stderr
    gone = rtcli(*arguments, "--last-id", "general=zzzz-1", home=tmp_path)
    gap = json.loads(gone.stdout)
    assert (gone.returncode, gap["type"], gap["reason"], gap["lost"]) == (0, "gap", "epoch_changed", None)
    assert rtcli(*arguments, "--last-id", "a\nb", home=tmp_path).returncode == 2


def test_filters_and_forms(server: ServerProcess, run: Run) -> None:
    common = ("tail-events", "-r", "general", "-u", server.url, "--count", "1")
    tails = {
        "data": run(*common, "-o", "data", "--grep", "TWO|three"),
        "raw": run(*common, "-o", "raw", "--not-event", "heartbeat"),
        "ready": run(*common, "-o", "data", "--event", "ready"),
    }
    for tail in tails.values():
        tail.wait_for("-- following", stream="err")
    say(server, "one", "three")
    assert {name: tail.end() for name, tail in tails.items()} == {"data": 0, "raw": 0, "ready": 0}
    assert json.loads(tails["data"].out)["content"] == "three"
    assert tails["raw"].out.startswith(b"id: general=")
    assert tails["raw"].out.endswith(b"\n\n")
    assert "channels" in json.loads(tails["ready"].out)


def test_a_command_per_event(server: ServerProcess, run: Run, tmp_path: Path) -> None:
    script = tmp_path / "one.sh"
    script.write_text('#!/bin/sh\necho "$RTCLI_EVENT_TYPE $RTCLI_EVENT_ROOM $(cat | wc -c)" >> done\n')
    script.chmod(0o700)
    tail = run("tail-events", "-r", "general", "-u", server.url, "--exec", str(script), "-n", "2", "--json")
    tail.wait_for("-- following", stream="err")
    say(server, "one", "two")
    assert tail.end() == 0
    lines = (tmp_path / "done").read_text().splitlines()
    assert [line.split()[:2] for line in lines] == [["new_message", "general"]] * 2


def test_a_command_that_fails_ends_it_and_the_event_is_not_done(
    server: ServerProcess, tmp_path: Path
) -> None:
    state = tmp_path / "s"
    arguments = ("tail-events", "-r", "general", "-u", server.url, "--json", "--state", str(state))
    rtcli(*arguments, "--count", "0", home=tmp_path)
    say(server, "one", "two")
    failed = rtcli(*arguments, "--exec", "false", home=tmp_path)
    assert failed.returncode == 7
    assert contents(failed.stdout) == ["one"]
    warned = rtcli(*arguments, "--exec", "false", "--exec-fail", "warn", "--no-follow", home=tmp_path)
    assert warned.returncode == 0
    assert contents(warned.stdout) == ["one", "two"], "what failed was not taken for done"
    assert warned.stderr.count(b"warning: --exec false ended with 1") == 2


def test_timeout_and_duration(server: ServerProcess, tmp_path: Path) -> None:
    common = ("tail-events", "-u", server.url, "-r", "general")
    assert rtcli(*common, "--count", "1", "--timeout", "300ms", home=tmp_path).returncode == 5
    assert rtcli(*common, "--duration", "300ms", home=tmp_path).returncode == 0
    usage = rtcli(*common, "--timeout", "1s", home=tmp_path)
    assert (usage.returncode, len(usage.stderr.splitlines())) == (2, 2)


def test_a_server_that_is_down(tmp_path: Path) -> None:
    result = rtcli("tail-events", "-u", f":{free_port()}", home=tmp_path)
    assert result.returncode == 3
    assert b"refused the connection" in result.stderr


def test_rights(server: ServerProcess, tmp_path: Path) -> None:
    bad = rtcli("tail-events", "-u", server.url, home=tmp_path, env={"RTCLI_TOKEN": "a.b.c"})
    assert (bad.returncode, b"wants a valid token" in bad.stderr) == (4, True)
    token = rtcli("token", "create", "--sub", "x", "--rooms", "dev-*", home=tmp_path).stdout.decode().strip()
    no = rtcli("tail-events", "-r", "ops", "-u", server.url, home=tmp_path, env={"RTCLI_TOKEN": token})
    assert (no.returncode, b"does not allow" in no.stderr) == (4, True)
    assert token.encode() not in no.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals(server: ServerProcess, run: Run, number: int) -> None:
    tail = run("tail-events", "-u", server.url, ignore_sigint=True)
    tail.wait_for("-- following", stream="err")
    tail.signal(number)
    assert tail.end() == {signal.SIGINT: 130, signal.SIGTERM: 143}[signal.Signals(number)]


def test_a_reader_that_has_enough(server: ServerProcess, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            "bash",
            "-c",
            f"set -o pipefail; {RTCLI} tail-events -r general -u {server.url} | head -1; echo end $?",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith(b"-- following")
    say(server, "one")
    out, err = process.communicate(timeout=30)
    assert out.splitlines()[-1] == b"end 0", "the stream is quiet, and still it ends"
    assert b"Traceback" not in err


def test_odd_surroundings(server: ServerProcess, tmp_path: Path) -> None:
    say(server, "ä \u65e5\u672c")
    for env in ({"LANG": "C"}, {"PYTHONIOENCODING": "ascii"}, {"TERM": "dumb"}, {"NO_COLOR": "1"}):
        common = (
            "tail-events",
            "-r",
            "general",
            "-u",
            server.url,
            "--last-id",
            "general=zzzz-1",
            "--no-follow",
        )
        result = rtcli(*common, home=tmp_path, env=env)
        assert (result.returncode, b"\x1b" in result.stdout + result.stderr) == (0, False)


# -- any SSE endpoint --------------------------------------------------------------------------------------


async def follow(url: str, home: Path, *arguments: str) -> tuple[int, bytes, bytes]:
    """Run it on a foreign endpoint while this test's event loop serves that."""
    process = await asyncio.create_subprocess_exec(
        RTCLI, "tail-events", url, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment(home),
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out, err


async def test_another_endpoint_until_it_says_204(tmp_path: Path) -> None:
    answer = HEAD + b'retry: 1\nid: 7\nevent: heartbeat\ndata: {"a": 1}\n\ndata: plain\n\n'
    async with fake_stream(answer, status(204)) as server:
        code, out, err = await follow(server.url, tmp_path, "--json", "-H", "X-Key: secret")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(record["id"], record["event"], record["data"]) for record in records] == [
        ("7", "heartbeat", {"a": 1}), ("7", "message", "plain"),
    ]  # fmt: skip
    assert server.header("Last-Event-ID") == [None, "7"]
    assert server.header("X-Key") == ["secret", "secret"]
    assert server.header("Authorization") == [None, None], "our token is nothing for others"
    assert b"-- lost (ended), retrying in" in err


async def test_another_endpoint_to_its_end(tmp_path: Path) -> None:
    async with fake_stream(HEAD + b"data: only\n\n") as server:
        code, out, _ = await follow(server.url, tmp_path, "--no-follow", "-o", "data")
    assert (code, out, len(server.requests)) == (0, b"only\n", 1)


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            6,
            b"not text/event-stream",
        ),
        (status(401), 4, b"401"),
        (status(403), 4, b"403"),
        (status(404), 6, b"404"),
        (status(429), 3, b"429"),
        (status(503), 3, b"503"),
        (HEAD + b"data: " + b"x" * 2_000_000, 6, b"more than 1048576 bytes"),
        (b"HTTP/1.1 200 \x1b[31mOK\r\nContent-Type: \x1b[2Jx\r\n\r\n", 6, b"error: "),
    ],
)
async def test_what_is_no_stream(tmp_path: Path, answer: bytes, code: int, says: bytes) -> None:
    async with fake_stream(answer) as server:
        result, _, err = await follow(server.url, tmp_path)
    assert result == code, err
    assert says in err
    assert b"\x1b" not in err
    assert b"Traceback" not in err


async def test_lines_are_written_when_they_come(tmp_path: Path) -> None:

    async def one_then_silence(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"data: now\n\n")
        await writer.drain()
        await hold(writer)

    async with fake_stream(one_then_silence) as server:
        process = await asyncio.create_subprocess_exec(
            RTCLI,
            "tail-events",
            server.url,
            "-o",
            "data",
            stdout=asyncio.subprocess.PIPE,
            env=environment(tmp_path),
        )
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"now\n"
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ws://[::1",
        "http://h:99999",
        "http://u:hunter2@h/",
        "http://h/#x",
        "",
        "http:// h/",
        "ws:///x",
    ],
)
def test_addresses_that_cannot_be(tmp_path: Path, url: str) -> None:
    result = rtcli("tail-events", url, home=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 2
    assert b"hunter2" not in result.stderr


@pytest.mark.parametrize("header", ["no colon", "a b: c", "K: v\nX: y", ": v", "K: \x00"])
def test_headers_that_cannot_be(tmp_path: Path, header: str) -> None:
    if "\x00" in header:
        path = tmp_path / "headers"
        path.write_text(header)
        header = f"@{path}"
    result = rtcli("tail-events", "http://127.0.0.1:1", "-H", header, home=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 2


def test_a_room_that_people_name_in_another_spelling(server: ServerProcess, tmp_path: Path) -> None:
    nfc, nfd = "Café, 100 % #1 = x", "Cafe\u0301, 100 % #1 = x"
    state = tmp_path / "seen.json"
    common = ("tail-events", "-u", server.url, "--json", "--count", "1", "--state", str(state))
    say(server, "before", room=nfd)
    assert rtcli(*common, "--room", nfd, "--timeout", "300ms", home=tmp_path).returncode == 5
    say(server, "one", "two", room=nfd)
    for room, expected in ((nfc, "one"), (nfd, "two")):  # the state is that of one stream, by either spelling
        found = rtcli(*common, "--room", room, "--timeout", "20s", home=tmp_path)
        assert found.returncode == 0, found.stderr
        assert contents(found.stdout) == [expected]
        assert json.loads(found.stdout.splitlines()[-1])["room"] == nfc
