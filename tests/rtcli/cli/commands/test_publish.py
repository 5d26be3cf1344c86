"""`rtcli publish` as it is installed, on a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import httpx
import pytest

from tests.support.ports import free_port
from tests.support.processes.command import Command
from tests.support.processes.rtcli import RTCLI, failed, ok, rtcli
from tests.support.servers.live_server import SECRET, LiveServer, live_server, token
from tests.support.waiting import wait_until


class Deployment:
    """A server, a home with the key to it, and a look into its log."""

    def __init__(self, server: LiveServer, home: Path) -> None:
        self.server = server
        self.home = home
        self.secret = home / "secret"
        self.secret.write_text(SECRET)
        self.secret.chmod(0o600)

    def publish(
        self, *arguments: str, stdin: str = "", command: Sequence[str] = (RTCLI,)
    ) -> CompletedProcess[bytes]:
        where = ("--url", self.server.url, "--secret-file", str(self.secret))
        return rtcli("publish", *arguments, *where, home=self.home, stdin=stdin, command=command)

    def messages(self, room: str = "general") -> list[str]:
        page = self.get(f"/api/v1/rooms/{room}/messages?limit=500")
        return [message["content"] for message in page["messages"]]

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        headers = {"Authorization": f"Bearer {token('reader')}"}
        return httpx.get(self.server.url + path, headers=headers, trust_env=False).json()

    def events(self, channel: str) -> list[tuple[str, Any]]:
        """The events in a channel's log."""
        reading = self.server.handle.realtime.broker.history(channel, since=None, limit=100)
        page = asyncio.run_coroutine_threadsafe(reading, self.server._loop).result(10)
        return [(publication.event, json.loads(publication.data)) for publication in page.publications]


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with live_server() as server:
        yield Deployment(server, tmp_path)


def test_arguments_are_messages_and_stdin_is_not_touched(deployment: Deployment) -> None:
    assert ok(deployment.publish("hello", "[bold]x[/bold] ✓", stdin="not this")) == ""
    assert deployment.messages() == ["hello", "[bold]x[/bold] ✓"]


def test_a_pipe(deployment: Deployment) -> None:
    lines = [f"line {number}" for number in range(450)]
    out = ok(deployment.publish("--room", "a", "--ack", stdin="\n".join(lines)))
    assert deployment.messages("a") == lines
    positions = [line.split(" ") for line in out.splitlines()]
    assert {channel for channel, _ in positions} == {"room:a"}
    assert [int(position.split("-")[1]) for _, position in positions] == list(range(1, 451))


def test_the_whole_of_stdin_to_several_rooms(deployment: Deployment) -> None:
    ok(deployment.publish("--whole", "--room", "a", "--room", "b", stdin="one\n\ntwo\n\n"))
    assert deployment.messages("a") == deployment.messages("b") == ["one\n\ntwo"]


def test_acks_as_json(deployment: Deployment) -> None:
    record = json.loads(ok(deployment.publish("x", "--json")))
    assert record["type"] == "ack"
    assert record["ts"].endswith("Z")
    assert record["channel"] == "room:general"
    assert record["position"] == f"{record['epoch']}-{record['offset']}"
    assert record["duplicate"] is False


def test_events(deployment: Deployment) -> None:
    ok(deployment.publish("--event", "order.paid", "--user", "7", '{"n": 1}'))
    ok(deployment.publish("--event", "order.paid", "--user", "7", stdin='{"n":2}\n{"n":3}\n'))
    assert deployment.events("user:7") == [("order.paid", {"n": n}) for n in (1, 2, 3)]
    ok(deployment.publish("--event", "news", "--whole", stdin='{\n "a": [\n1]\n}\n'))
    assert deployment.events("all") == [("news", {"a": [1]})]


def test_an_event_without_data_from_cron(deployment: Deployment) -> None:
    from_cron = ("bash", "-c", 'exec "$@" </dev/null', "-", RTCLI)
    ok(deployment.publish("--event", "ping", command=from_cron))
    assert deployment.events("all") == [("ping", {})]
    ok(deployment.publish("--event", "ping", stdin=""))
    assert len(deployment.events("all")) == 1, "an empty pipe has no data, so there is no event"


def test_bad_lines_are_told_and_the_others_published(deployment: Deployment) -> None:
    stdin = "one\n" + "x" * 16_385 + "\ntwo\n" + "y" * 300_000 + "\nthree\n"
    text = failed(deployment.publish(stdin=stdin), 2)
    assert "warning: line 2 was not published: it has 16385 characters" in text
    assert "error: line 4 was not published: it is longer than 262144 bytes" in text
    assert "hint: 3 publications are in the log" in text
    assert deployment.messages() == ["one", "two", "three"]


def test_rights(deployment: Deployment) -> None:
    limited = token("8", rooms=[{"match": "a", "can": ["publish"]}])
    arguments = ("publish", "--url", deployment.server.url, "--room", "b", "--room", "a", "x")
    done = rtcli(*arguments, home=deployment.home, env={"RTCLI_TOKEN": limited})
    assert "Not allowed (forbidden)" in failed(done, 4)
    assert deployment.messages("a") == ["x"]
    done = rtcli(*arguments, home=deployment.home, env={"RTCLI_TOKEN": token(ttl_s=-60)})
    assert "wants a valid token (401)" in failed(done, 4)
    assert "no token for" in failed(rtcli(*arguments, home=deployment.home), 4)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--user", "7", "x"),
        ("--event", "x", "--room", "a", "{}"),
        ("--event", "ready", "{}"),
        ("--event", "x", "[]"),
        ("--room", "a  b", "x"),
        ("--whole", "x"),
        ("",),
        ("--timeout", "soon", "x"),
    ],
)
def test_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with live_server() as server:
        deployment = Deployment(server, tmp_path)
        failed(deployment.publish(*arguments), 2)
        assert deployment.messages() == []


def test_nobody_there(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = rtcli("publish", "x", "--url", url, home=tmp_path, env={"RTCLI_TOKEN": token()})
    assert "refused the connection" in failed(done, 3)


def test_the_development_key_is_found(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    server = Command("serve", "--port", "0", "--ready-file", str(ready), home=tmp_path)
    try:
        wait_until(ready.exists, "the server's start")
        url = ready.read_text().strip()
        ok(rtcli("publish", "--url", url, "x", home=tmp_path))
        ok(rtcli("publish", "--url", url, "--event", "y", "{}", home=tmp_path))
    finally:
        server.kill()


def test_a_pace_is_kept(tmp_path: Path) -> None:
    with live_server(rate_limit_per_s=200.0) as server:
        deployment = Deployment(server, tmp_path)
        lines = [str(number) for number in range(600)]
        ok(deployment.publish(stdin="\n".join(lines)))
        page = deployment.get("/api/v1/rooms/general/messages?limit=500")
        assert [message["content"] for message in page["messages"]] == lines[-500:]
        assert page["top"].endswith("-600")
