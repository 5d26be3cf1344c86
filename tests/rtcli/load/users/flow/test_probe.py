"""The probe connects as users do, says what is wrong and who is to blame; no request leaves the target."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request
from websockets.typing import Subprotocol

from rtcli.client.endpoint import parse_endpoint
from rtcli.errors import CliError, Exit
from rtcli.load.core.context import Credentials
from rtcli.load.run.target import make_spec
from rtcli.load.users.flow import probe as probe_module
from rtcli.load.users.flow.probe import probe
from tests.support.load.runs import SECRET, run, scenario

GREETING = {
    "type": "pong",
    "data": {
        "connection_id": "c1",
        "user_id": "1",
        "instance_id": "i",
        "heartbeat_s": 30,
        "message": "Connected",
        "protocol": 1,
    },
}
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@dataclass
class Recorder:
    """What a server was asked for."""

    port: int = 0
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # "GET /path", header fields

    @property
    def lines(self) -> list[str]:
        return [line for line, _ in self.asked]


@contextlib.asynccontextmanager
async def http_server(answer: bytes, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Recorder]:
    """A server that gives one answer to everything."""
    seen = Recorder()

    handling: set[asyncio.Task[None]] = set()

    async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
                first, *fields = head.strip().split("\r\n")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in fields)}
                seen.asked.append((first.removesuffix(" HTTP/1.1"), headers))
                await reader.readexactly(int(headers.get("content-length", "0")))
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has closed
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(answer_all(reader, writer))
        handling.add(task)
        task.add_done_callback(handling.discard)

    server = await asyncio.start_server(handle, host, port)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for task in handling:
            task.cancel()
        await asyncio.gather(*handling, return_exceptions=True)


@contextlib.asynccontextmanager
async def chat_server(*frames: object) -> AsyncIterator[Recorder]:
    """A server of WebSockets that sends frames to everybody who comes, and nothing more."""
    seen = Recorder()

    async def record(_connection: ServerConnection, request: Request) -> None:
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        seen.asked.append((f"GET {request.path}", headers))

    def first_offered(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return offered[0] if offered else None

    async def handle(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(json.dumps(frame), text=True)
        await connection.wait_closed()

    async with serve(
        handle, "127.0.0.1", 0, process_request=record, select_subprotocol=first_offered
    ) as server:
        seen.port = next(iter(server.sockets)).getsockname()[1]
        yield seen


async def probe_at(port: int, text: str) -> None:
    spec = await make_spec(
        scenario(text),
        parse_endpoint(f"http://127.0.0.1:{port}"),
        Credentials(secret=SECRET),
        workers=1,
        unix_start=time.time(),
    )
    await probe(spec)


JSON = """
    name: probed
    target:
      protocol: json
      path: "/chat/${mod(user.number, 7)}?as=${role}"
      headers: { Origin: "https://chat.example", Cookie: "who=${user.id}" }
      subprotocols: [chat.v2]
      frames: { send: { say: "${text}" }, data: { match: { event: said } } }
    phases: [{ name: run, for: 1s }]
    roles:
      reader: { users: 3, flow: [connect, hold] }
      writer:
        users: 1
        flow: [{ connect: { path: "/own/${user.name}", headers: { X-Mine: "1" } } }, { join: a }, { send: a }]
"""


async def test_each_role_is_probed_as_its_first_user_connects() -> None:
    async with chat_server() as seen:
        await probe_at(seen.port, JSON)
    assert seen.lines == ["GET /chat/0?as=reader", "GET /own/writer%201"]
    reader, writer = (headers for _, headers in seen.asked)
    assert (reader["origin"], reader["cookie"]) == ("https://chat.example", "who=reader-1")
    assert reader["sec-websocket-protocol"] == "chat.v2"
    assert (writer["origin"], writer["x-mine"]) == ("https://chat.example", "1")


STREAMS = """
    name: streams
    target: { protocol: sse, publish: { path: "/pub/${room}", body: "${text}" } }
    phases: [{ name: run, for: 1s }]
    roles:
      tail:
        users: 3
        flow: [{ connect: { path: "/sub/${user.id}", rooms: [news], headers: { Cookie: a=1 } } }, hold]
      writer: { users: 2, flow: [{ send: { room: news, rate: 5/s } }] }
"""


async def test_an_event_stream_is_probed_by_get_and_nothing_is_published() -> None:
    async with http_server(STREAM) as seen:
        await probe_at(seen.port, STREAMS)
    assert seen.lines == ["GET /sub/tail-1"]
    assert seen.asked[0][1]["accept"] == "text/event-stream"
    assert seen.asked[0][1]["cookie"] == "a=1"


async def test_a_scenario_that_only_publishes_is_probed_without_a_request() -> None:
    text = re.sub(r"tail:.*?hold\]", "#", STREAMS, flags=re.DOTALL)
    async with http_server(STREAM) as seen:
        await probe_at(seen.port, text)
    assert seen.lines == []


OURS = """
    name: ours
    phases: [{ name: run, for: 1s }]
    roles: { reader: { users: 1, flow: [connect, { join: lobby }, hold] } }
"""


def without(key: str) -> dict[str, object]:
    data = {name: value for name, value in GREETING["data"].items() if name != key}  # type: ignore[attr-defined]
    return {"type": "pong", "data": data}


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (without("heartbeat_s"), "`pong`, the greeting: Object missing required field `heartbeat_s`"),
        (without("user_id"), "`pong`, the greeting: Object missing required field `user_id`"),
        ({"type": "room_joined", "data": {}}, "`room_joined`: Object missing required field `room`"),
        ("hello", "it is not a message of the protocol: a JSON object with a `type`"),
        ({"type": "welcome"}, "1 messages came within 0 s, and none of them is its greeting"),
        (without("connection_id"), "1 messages came within 0 s, and none of them is its greeting"),
    ],
    ids=str,
)
async def test_a_server_that_speaks_less_than_our_protocol_is_told_what_is_missing(
    frame: object, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_module, "_PROBE_S", 0.4)
    async with chat_server(frame) as seen:
        with pytest.raises(CliError) as caught:
            await probe_at(seen.port, OURS)
    assert said in caught.value.message
    assert f"127.0.0.1:{seen.port}" in caught.value.message
    assert caught.value.exit_code is Exit.CANNOT_CONNECT


async def test_a_whole_greeting_is_enough() -> None:
    async with chat_server(GREETING) as seen:
        await probe_at(seen.port, OURS)
    assert seen.lines == ["GET /api/v1/ws?events=0"]


@pytest.mark.parametrize(
    ("answer", "text", "said", "code"),
    [
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", STREAMS, "/sub/tail-1 is no event stream", 3),
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", STREAMS, "refused the token of tail (HTTP 401)", 4),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", STREAMS, "the answer is text/html, not", 3),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", OURS, "refused the token of reader (HTTP 403)", 4),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", OURS, "does not take WebSockets, for reader", 3),
    ],
)  # fmt: skip
async def test_who_is_refused_and_where_is_told(answer: bytes, text: str, said: str, code: int) -> None:
    async with http_server(answer) as seen:
        with pytest.raises(CliError) as caught:
            await probe_at(seen.port, text)
    assert said in caught.value.message
    assert int(caught.value.exit_code) == code
    assert caught.value.hint


async def test_what_a_role_expects_is_no_error() -> None:
    text = OURS.replace("{ users: 1,", "{ users: 1, expect_errors: [http_503],")
    async with http_server(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") as seen:
        await probe_at(seen.port, text)
    assert len(seen.lines) == 1


# -- nothing leaves the target -----------------------------------------------------------------------------

EVERYWHERE = """
    name: everywhere
    target: {{ protocol: sse, publish: {{ path: '{path}', body: "${{text}}" }} }}
    phases: [{{ name: run, for: 600ms }}, {{ name: drain, for: 100ms, publish: stop }}]
    attendance: off
    sends: off
    audit: {{ settle: 200ms }}
    roles:
      tail: {{ users: 1, flow: [{{ connect: {{ path: '{path}', rooms: [news] }} }}, hold] }}
      writer: {{ users: 1, flow: [{{ send: {{ room: news, rate: 10/s }} }}] }}
      asker: {{ users: 1, flow: [{{ loop: [{{ http: {{ path: '{path}' }} }}, {{ think: 200ms }}] }}] }}
"""
SOCKETS = """
    name: sockets
    target:
      protocol: json
      path: '{path}'
      frames: {{ send: {{ say: "${{text}}" }}, data: {{ match: {{ a: b }} }} }}
    phases: [{{ name: run, for: 600ms }}]
    attendance: off
    audit: {{ settle: 200ms }}
    roles: {{ reader: {{ users: 1, flow: [connect, hold] }} }}
"""
OTHER = "127.0.0.2"
PATHS = {
    "@127.0.0.2:PORT/x": "/@127.0.0.2:PORT/x",
    "//127.0.0.2:PORT/x": "//127.0.0.2:PORT/x",
    r"\\127.0.0.2:PORT\x": "/%5C%5C127.0.0.2:PORT%5Cx",
}


@pytest.mark.parametrize("path", PATHS)
async def test_no_path_changes_the_host(path: str) -> None:
    async with http_server(STREAM, OTHER) as other, http_server(STREAM) as target, chat_server() as sockets:
        own, expected = (text.replace("PORT", str(other.port)) for text in (path, PATHS[path]))
        for text, seen in ((EVERYWHERE, target), (SOCKETS, sockets)):
            with contextlib.suppress(CliError):
                await probe_at(seen.port, text.format(path=own))
            await run(text.format(path=own), f"http://127.0.0.1:{seen.port}", secret=SECRET)
    assert other.asked == []
    assert set(target.lines) == {f"GET {expected}", f"POST {expected}"}
    assert {headers["host"] for _, headers in target.asked} == {f"127.0.0.1:{target.port}"}
    assert {line.removeprefix("GET ") for line in sockets.lines} == {expected.partition("#")[0]}


@pytest.mark.parametrize("status", [302, 307])
async def test_no_redirect_is_followed(status: int) -> None:
    async with http_server(STREAM, OTHER) as other:
        there = f"http://{OTHER}:{other.port}/x"
        answer = f"HTTP/1.1 {status} There\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n".encode()
        async with http_server(answer) as target:
            url = f"http://127.0.0.1:{target.port}"
            for text in (EVERYWHERE, SOCKETS):
                with pytest.raises(CliError) as caught:
                    await probe_at(target.port, text.format(path="/x"))
                assert f"HTTP {status}" in caught.value.message
                assert "no redirect is followed" in caught.value.hint
                await run(text.format(path="/x"), url, secret=SECRET)
    assert other.asked == []
    assert {"GET /x", "POST /x"} == set(target.lines)


ROOMS = ["a/b", "a?b", "a#b", "a%2Fb", "a b", "@x", "\u00e4\u2603", "../x"]


async def test_what_expressions_yield_stays_within_its_segment() -> None:
    data = f"    data: {{ where: {{ values: {json.dumps(ROOMS)}, pick: sequence, each: use }} }}\n"
    text = EVERYWHERE.format(path="/rooms/${where}/x?q=${where}").replace("    phases:", f"{data}    phases:")
    async with http_server(STREAM) as target:
        await run(text.replace("10/s", "40/s"), f"http://127.0.0.1:{target.port}", secret=SECRET)
    seen = {part for line in target.lines for part in re.findall(r"rooms/(.+)/x|q=(.+)", line)}
    assert {unquote(part) for parts in seen for part in parts} >= set(ROOMS)
    for line in target.lines:
        path, _, query = line.partition(" ")[2].partition("?q=")
        assert path.count("/") == 3, line
        assert "/" not in query
        assert "?" not in query
