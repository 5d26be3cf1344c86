"""`rtcli rooms`, `members` and `history` as they are installed, on a real server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from rtcli.errors import Exit
from rtcli_server.realtime import RealtimeServer
from tests.support.clients.rooms import join, open_ws, say
from tests.support.http.threaded import reply, threaded_http
from tests.support.ports import free_port
from tests.support.processes.rtcli import failed, ok, rtcli
from tests.support.servers.live_server import SECRET, LiveServer, live_server, token

ROOM = "Board Games #2"
KEPT = 250


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(history_size=KEPT) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o600)
    return tmp_path


def ask(server: LiveServer, home: Path, *arguments: str) -> CompletedProcess[bytes]:
    return rtcli(*arguments, "--url", server.url, "--secret-file", "secret", home=home)


def records(done: CompletedProcess[bytes]) -> list[dict[str, object]]:
    return [json.loads(line) for line in ok(done).splitlines()]


def publish(server: LiveServer, room: str, count: int) -> None:
    now_ms = int(time.time() * 1000)
    who: dict[str, object] = {"room": room, "sender_id": 7, "sender_name": "Ann", "timestamp": "t"}

    def publish_all(realtime: RealtimeServer) -> None:
        for number in range(1, count + 1):
            data = json.dumps(who | {"content": f"m{number}"}).encode()
            realtime.broker.publish(f"room:{room}", "message", data, time_ms=now_ms)

    server.ask(publish_all)


def test_rooms_and_their_members(server: LiveServer, home: Path) -> None:
    with open_ws(server, "7") as ann, open_ws(server, "8", name="Bob") as bob:
        for ws in (ann, bob):
            join(ws, ROOM)
        join(ann, "b")
        assert ok(ask(server, home, "rooms")) == f"2\t{ROOM}\n1\tb\n"
        assert records(ask(server, home, "rooms", "--json")) == [
            {"type": "room", "room": ROOM, "member_count": 2},
            {"type": "room", "room": "b", "member_count": 1},
        ]
        assert sorted(ok(ask(server, home, "members", ROOM)).splitlines()) == ["7\tAnn", "8\tBob"]
        (record,) = records(ask(server, home, "members", "b", "--json"))
        assert record == {"type": "member", "room": "b", "user": "7", "name": "Ann"}
    assert ok(ask(server, home, "members", "nobody here")) == ""


def test_more_members_than_are_listed(server: LiveServer, home: Path) -> None:
    with ExitStack() as sockets:
        for number in range(201):
            join(sockets.enter_context(open_ws(server, f"u{number}")), "crowd")
        done = ask(server, home, "members", "crowd")
    assert len(done.stdout.splitlines()) == 200
    assert done.stderr.decode() == "-- 201 members; these are the first 200\n"


def test_what_was_said(server: LiveServer, home: Path) -> None:
    with open_ws(server, "7") as ann:
        join(ann, ROOM)
        say(ann, ROOM, "one", "two\tand\na half", "three")
    lines = [line.split("\t") for line in ok(ask(server, home, "history", ROOM, "--last", "2")).splitlines()]
    assert [line[1:] for line in lines] == [[ROOM, "Ann", "two\\tand\\na half"], [ROOM, "Ann", "three"]]
    first, *_ = found = records(ask(server, home, "history", ROOM, "--json"))
    assert [record["text"] for record in found] == ["one", "two\tand\na half", "three"]
    after = records(ask(server, home, "history", ROOM, "--json", "--after", str(first["id"])))
    assert after == found[1:]


@pytest.mark.parametrize(("asked", "comes"), [(99, 99), (101, 101), (249, 249), (10_000, KEPT)])
def test_a_long_history_comes_in_pages(server: LiveServer, home: Path, asked: int, comes: int) -> None:
    room = f"long{asked}"
    publish(server, room, KEPT + 50)
    found = records(ask(server, home, "history", room, "--last", str(asked), "--json"))
    assert [record["text"] for record in found] == [f"m{n}" for n in range(KEPT + 51 - comes, KEPT + 51)]


def test_what_is_gone_is_told(server: LiveServer, home: Path) -> None:
    publish(server, "trimmed", KEPT + 50)
    (newest,) = records(ask(server, home, "history", "trimmed", "--last", "1", "--json"))
    epoch = str(newest["id"]).partition("-")[0]
    gap, *found = records(ask(server, home, "history", "trimmed", "--after", f"{epoch}-3", "--json"))
    assert (gap["type"], gap["room"], gap["reason"]) == ("gap", "trimmed", "trimmed")
    assert len(found) == KEPT
    done = ask(server, home, "history", "trimmed", "--after", "other-3")
    assert done.stderr.decode().startswith("-- could not resume #trimmed: messages will not come")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("history", "a", "--after", "yesterday"), "--after 'yesterday' is no position"),
        (("history", "a", "--after", "k3f9-1", "--last", "2"), "--last and --after are two questions"),
        (("history", " "), "' ' cannot be a room"),
        (("members", "a\x01"), "cannot be a room"),
    ],
)
def test_what_cannot_be_asked(server: LiveServer, home: Path, arguments: tuple[str, ...], says: str) -> None:
    assert says in failed(ask(server, home, *arguments), Exit.USAGE)


@pytest.mark.parametrize("command", [("rooms",), ("members", "a"), ("history", "a")])
def test_servers_that_do_not_answer_so(server: LiveServer, home: Path, command: tuple[str, ...]) -> None:
    done = rtcli(*command, "--url", f"http://127.0.0.1:{free_port()}", home=home)
    assert "refused the connection" in failed(done, Exit.CANNOT_CONNECT)
    with threaded_http(lambda handler: reply(handler, 200, b'{"rooms": 7}')) as base:
        done = rtcli(*command, "--url", base, home=home, env={"RTCLI_TOKEN": token()})
    assert "does not answer as a server of rtcli does" in failed(done, Exit.SERVER)
    if command != ("rooms",):
        bearer = token(rooms=[])
        done = rtcli(*command, "--url", server.url, home=home, env={"RTCLI_TOKEN": bearer})
        assert "does not allow this (403)" in failed(done, Exit.AUTH)
