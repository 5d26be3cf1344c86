"""A small realtime server whose faults are scripted: real sockets, rooms with a log, resume.

`on_message` sees every message first: it returns True when it dealt with it (or chose to ignore it).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from rtcli.protocol.messages import client as c
from rtcli.protocol.messages import decode_client, encode
from rtcli.protocol.messages import server as s
from rtcli.protocol.position import parse_position

TIMESTAMP = "2026-05-01T09:30:00.000Z"
Hook = Callable[["FakeServer", ServerConnection, c.ClientMessage], Awaitable[bool]]


async def nothing(_server: FakeServer, _connection: ServerConnection, _message: c.ClientMessage) -> bool:
    return False


class FakeServer:
    """What came is in `received`, and `epoch`, `log` and the hooks may be changed by a test at any time."""

    def __init__(self) -> None:
        self.epoch = "aaaa"
        self.log: dict[str, list[s.NewMessageData]] = {}
        self.members: dict[str, set[ServerConnection]] = {}
        self.keys: dict[str, s.NewMessageData] = {}
        self.received: list[c.ClientMessage] = []
        self.tokens: list[str | None] = []
        self.connections: set[ServerConnection] = set()
        self.on_message: Hook = nothing
        self.on_connect: Callable[[ServerConnection], Awaitable[bool]] | None = None
        self.greet = True
        self.server: Server | None = None
        self.port = 0

    async def start(self, port: int = 0) -> None:
        self.server = await serve(self._handle, "127.0.0.1", port, ping_interval=None, compression=None)
        self.port = next(iter(self.server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Die as a killed process does: connections are reset, nothing is said."""
        if self.server is not None:
            for connection in list(self.connections):
                connection.transport.abort()
            self.server.close()
            await self.server.wait_closed()
            self.server = None

    async def say(self, connection: ServerConnection, message: s.ServerMessage) -> None:
        assert not isinstance(message, s.Unknown)
        await connection.send(encode(message), text=True)

    async def publish(
        self, room: str, content: str, *, key: str | None = None, sender: str = "bob"
    ) -> s.NewMessageData:
        log = self.log.setdefault(room, [])
        data = s.NewMessageData(
            room=room, content=content, sender_id=sender, sender_name=sender, timestamp=TIMESTAMP,
            offset=len(log) + 1, epoch=self.epoch, id=key,
        )  # fmt: skip
        log.append(data)
        for member in list(self.members.get(room, ())):
            await self.say(member, s.NewMessage(data=data))
        return data

    async def _handle(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        assert connection.request is not None
        self.tokens.append(connection.request.headers.get("Authorization"))
        try:
            if self.on_connect is not None and await self.on_connect(connection):
                return
            if self.greet:
                hello = s.ConnectedData(connection_id="c1", user_id="me", instance_id="i", heartbeat_s=30.0)
                await self.say(connection, s.Connected(data=hello))
            async for text in connection:
                message = decode_client(text)
                self.received.append(message)
                if not await self.on_message(self, connection, message):
                    await self.answer(connection, message)
        except ConnectionClosed:
            return
        finally:
            self.connections.discard(connection)
            for members in self.members.values():
                members.discard(connection)

    async def answer(self, connection: ServerConnection, message: c.ClientMessage) -> None:
        match message:
            case c.Ping(id=id_):
                await self.say(connection, s.ServerPong(id=id_))
            case c.JoinRoom(data=data, id=id_):
                await self._join(connection, data, id_)
            case c.LeaveRoom(data=data, id=id_):
                self.members.get(data.room, set()).discard(connection)
                await self.say(connection, s.RoomLeft(data=c.RoomData(data.room), id=id_))
            case c.ChatMessage(data=data, id=id_):
                duplicate = id_ in self.keys
                if not duplicate:
                    self.keys[id_ or ""] = await self.publish(data.room, data.content, key=id_, sender="me")
                place = self.keys[id_ or ""]
                ack = s.AckData(room=data.room, offset=place.offset, epoch=place.epoch, duplicate=duplicate)
                await self.say(connection, s.Ack(data=ack, id=id_))
            case _:
                pass

    async def _join(self, connection: ServerConnection, data: c.JoinData, id_: str | None) -> None:
        log = self.log.setdefault(data.room, [])
        since = None if data.since is None else parse_position(data.since)
        reason = None
        if since is None:
            missed = log[-data.history :] if data.history else []
        elif since.epoch != self.epoch:
            missed, reason = [], "epoch_changed"
        else:
            missed = log[since.offset :]
        joined = s.RoomJoinedData(
            room=data.room, position=f"{self.epoch}-{len(log)}", replayed=len(missed),
            members=(s.MemberInfo("me", "me"),), member_count=1,
            recovered=None if since is None else reason is None, reason=reason,
        )  # fmt: skip
        await self.say(connection, s.RoomJoined(data=joined, id=id_))
        for publication in missed:
            await self.say(connection, s.NewMessage(data=publication))
        self.members.setdefault(data.room, set()).add(connection)


@asynccontextmanager
async def fake_server() -> AsyncIterator[FakeServer]:
    server = FakeServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
