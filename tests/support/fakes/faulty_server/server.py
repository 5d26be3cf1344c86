"""The sockets of the faulty server: WebSocket and event streams on one port, as the real one has them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable
from itertools import count
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from rtcli.protocol.codes import CloseCode, ErrorCode
from rtcli.protocol.messages import Ack, AckData, RoomData, RoomJoined, RoomJoinedData, RoomLeft, encode
from rtcli.protocol.position import Position, parse_cursor
from rtcli.protocol.publication import Publication, sse_parts, ws_message
from rtcli.protocol.sse import encode_event
from rtcli_server.session.decisions import Close, Decision, Join, Leave, Publish, Reply
from rtcli_server.session.replies import error
from rtcli_server.session.session import Session
from rtcli_server.session.settings import HeartbeatMode, SessionSettings
from tests.support.fakes.faulty_server.door import OPEN, Door
from tests.support.fakes.faulty_server.faults import Faults
from tests.support.fakes.faulty_server.rooms import EPOCH, Rooms

_numbers = count(1)


class Anybody:
    """The rights of whoever comes."""

    expires_at = 4_000_000_000.0

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id

    def can_join(self, room: str) -> bool:  # noqa: ARG002 - anybody may
        return True

    def can_publish(self, room: str) -> bool:  # noqa: ARG002 - anybody may
        return True


class WsClient:
    """A WebSocket connection, once it is open."""

    def __init__(self, server: FaultyServer, user_id: str, writer: asyncio.StreamWriter) -> None:
        self.user_id = user_id
        self.rooms: set[str] = set()
        self._server = server
        self._writer = writer
        self._session = Session(
            connection_id=f"f{next(_numbers)}",
            rights=Anybody(user_id),
            instance_id="faulty",
            heartbeat=HeartbeatMode.CLIENT,
            settings=SessionSettings(rate_limit_per_s=None),
            now=time.monotonic(),
            wall=time.time(),
        )
        self._follow(self._session.opening(time.time()))

    def deliver(self, publication: Publication) -> None:
        self.send(ws_message(publication))

    def tell(self, event: str, message: bytes, data: bytes) -> None:  # noqa: ARG002 - one signature
        self.send(message)

    def send(self, text: bytes) -> None:
        size = len(text)
        head = bytes([0x81, size]) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")
        self._writer.write(head + text)

    def receive(self, text: bytes) -> None:
        self._follow(self._session.receive(text, time.monotonic(), time.time()))

    def _follow(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Reply(text=text):
                    self.send(text)
                case Join():
                    self._join(decision)
                case Leave(room=room, id=id_, spelling=spelling):
                    self._server.rooms.leave(self, room)
                    self.send(encode(RoomLeft(data=RoomData(spelling), id=id_)))
                case Publish():
                    self._publish(decision)
                case Close():
                    self._writer.close()

    def _join(self, join: Join) -> None:
        rooms, door = self._server.rooms, self._server.door_for(self.user_id)
        if door.join_error:
            self._follow([error(ErrorCode.FORBIDDEN, join.id, time.time())])
        if door.join_error or not door.confirms:
            return
        top = len(rooms[join.room].log)
        since = join.since.offset if join.since is not None else None
        denied = since is not None and self._server.faults.roll("deny")
        data = RoomJoinedData(
            room=join.spelling,
            position=f"{EPOCH}-{top}",
            replayed=0,
            members=(),
            member_count=0,
            recovered=None if since is None else not denied,
            reason="trimmed" if denied else None,
        )
        self.send(encode(RoomJoined(data=data, id=join.id)))
        if since is not None and not denied:
            rooms.replay(self, join.room, since)
        rooms.enter(self, join.room)
        self._session.joined(join)

    def _publish(self, publish: Publish) -> None:
        id_ = publish.id
        entry, refused = self._server.rooms.publish(self.user_id, publish.room, publish.content, id_)
        if refused:
            self._follow([error(ErrorCode.UNAVAILABLE, id_, time.time())])
        elif id_ is not None and not (
            "mute" in self._server.faults.chances and self._server.faults.roll("mute")
        ):
            data = AckData(
                room=publish.spelling, offset=entry.publication.offset, epoch=EPOCH, duplicate=False
            )
            self.send(encode(Ack(data=data, id=id_)))


class SseClient:
    """An event stream."""

    def __init__(self, user_id: str, writer: asyncio.StreamWriter) -> None:
        self.user_id = user_id
        self.rooms: set[str] = set()
        self.cursor: dict[str, int] = {}
        self._writer = writer

    def deliver(self, publication: Publication) -> None:
        room = publication.channel.removeprefix("room:")
        self.cursor[room] = publication.offset
        others = [f",{name}={EPOCH}-{offset}" for name, offset in self.cursor.items() if name != room]
        head, tail = sse_parts(publication)
        self._write(head + "".join(others).encode() + tail)

    def tell(self, event: str, message: bytes, data: bytes) -> None:  # noqa: ARG002 - one signature
        self._write(encode_event(event=event, data=data))

    def begin(self, recovered: dict[str, bool | None]) -> None:
        channels = {
            room: {"position": f"{EPOCH}-{offset}", "recovered": recovered[room]}
            for room, offset in self.cursor.items()
        }
        cursor = ",".join(f"{room}={EPOCH}-{offset}" for room, offset in self.cursor.items())
        ready = {"connection_id": f"f{next(_numbers)}", "channels": channels}
        self._write(encode_event(id=cursor, event="ready", data=msgspec.json.encode(ready), retry_ms=100))

    def _write(self, body: bytes) -> None:
        self._writer.write(b"%x\r\n%b\r\n" % (len(body), body))


class FaultyServer:
    """The server. `url` is where it listens; `stall` stops it altogether for a while, again and again."""

    def __init__(self, faults: Faults, door: Door = OPEN) -> None:
        self.faults = faults
        self.door = door
        self.rooms = Rooms(faults)
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()

    def door_for(self, user_id: str) -> Door:
        """The door as this user finds it."""
        return self.door if self.door.concerns(user_id) else OPEN

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            door = self.door_for(user_of(head))
            if door.silent:
                await reader.read()
            elif door.status is not None:
                writer.write(f"HTTP/1.1 {door.status} No\r\nContent-Length: 0\r\n\r\n".encode())
            elif head.startswith(b"POST "):
                await self._handle_post(head, reader, writer)
            elif b"upgrade: websocket" in head.lower():
                await self._handle_ws(head, reader, writer)
            else:
                await self._handle_sse(head, reader, writer)
        writer.close()

    async def _handle_ws(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        protocol = ServerProtocol()
        protocol.receive_data(head)
        (request,) = protocol.events_received()
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        self._flush(protocol, writer)
        client = WsClient(self, user_of(head), writer)
        self._close_later(
            client.user_id, writer, lambda code: writer.write(b"\x88\x02" + code.to_bytes(2, "big"))
        )
        try:
            while data := await reader.read(65_536):
                protocol.receive_data(data)
                for frame in protocol.events_received():
                    if not isinstance(frame, Request) and frame.opcode is Opcode.TEXT:  # type: ignore[union-attr]
                        client.receive(bytes(frame.data))  # type: ignore[union-attr]
                self._flush(protocol, writer)
        finally:
            for room in list(client.rooms):
                self.rooms[room].held.pop(id(client), None)
                self.rooms.leave(client, room)

    @staticmethod
    def _flush(protocol: ServerProtocol, writer: asyncio.StreamWriter) -> None:
        for data in protocol.data_to_send():
            if data:
                writer.write(data)

    async def _handle_sse(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        target = head.split(b" ", 2)[1].decode()
        names = parse_qs(urlsplit(target).query).get("room", [])
        client = SseClient(user_of(head), writer)
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        since = cursor_of(head)
        for room in names:
            client.cursor[room] = since.get(room, len(self.rooms[room].log))
        self._close_later(client.user_id, writer, lambda _code: writer.write(b"0\r\n\r\n"))
        if not self.door_for(client.user_id).confirms:
            await reader.read()
            return
        client.begin({room: True if room in since else None for room in names})
        for room in names:
            if room in since:
                self.rooms.replay(client, room, since[room])
            self.rooms.enter(client, room)
        try:
            await reader.read()
        finally:
            for room in names:
                self.rooms[room].held.pop(id(client), None)
                self.rooms.leave(client, room)

    async def _handle_post(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Publish as the HTTP API does; one request for each connection."""
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        content = msgspec.json.decode(await reader.readexactly(length))["content"]
        room = unquote(head.split(b" ", 2)[1].decode().split("/")[-2])
        entry, refused = self.rooms.publish(user_of(head), room, content, None)
        if self.faults.roll("mute"):
            await reader.read()
            return
        status = b"503 Service Unavailable" if refused else b"201 Created"
        body = msgspec.json.encode({"position": f"{EPOCH}-{entry.publication.offset}"})
        size = len(body)
        writer.write(
            b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, size, body)
        )

    def _close_later(self, user_id: str, writer: asyncio.StreamWriter, close: Callable[[int], None]) -> None:
        door = self.door_for(user_id)
        if door.close is not None:
            seconds, code = door.close
            loop = asyncio.get_running_loop()
            if code == CloseCode.ABNORMAL:  # never in a frame (RFC 6455, 7.4.1): the connection breaks
                loop.call_later(seconds, writer.transport.abort)
            else:
                loop.call_later(seconds, close, code)

    async def stall(self, every: float, length: float) -> None:
        """Stand still for `length` seconds, every so many seconds."""
        while True:
            await asyncio.sleep(every - length)
            time.sleep(length)  # noqa: ASYNC251 - the whole server stands still: that is the point


def user_of(head: bytes) -> str:
    """The `sub` of the bearer token; nothing is verified here."""
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"authorization: bearer "):
            claims = line.split(b".")[1]
            decoded = msgspec.json.decode(urlsafe_b64decode(claims + b"=" * (-len(claims) % 4)))
            return str(decoded["sub"])
    return "nobody"


def cursor_of(head: bytes) -> dict[str, int]:
    """The positions in `Last-Event-ID`, by room."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"last-event-id":
            positions = parse_cursor(value.strip().decode(), user_channel="user:nobody")
            return {unquote(channel.removeprefix("room:")): at.offset for channel, at in positions.items()}
    return {}


@contextlib.asynccontextmanager
async def faulty_server(faults: Faults | None = None, door: Door = OPEN) -> AsyncIterator[FaultyServer]:
    """A faulty server on a free port."""
    faulty = FaultyServer(faults or Faults({}), door)
    listening = await asyncio.start_server(faulty.handle, "127.0.0.1", 0, backlog=1024)
    faulty.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield faulty
    finally:
        listening.close()
        await asyncio.sleep(0)


__all__ = ["FaultyServer", "Position", "faulty_server"]
