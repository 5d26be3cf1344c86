"""A chat server whose frames differ for each receiver: every delivery has a number of its own there.

It does as little else as possible (it checks no token and keeps nothing), so that the load generator is what
limits the figure: a frame is three joined pieces, all that one turn of the loop has for a connection is
written at once, by the transport itself.

Started by ``python -m benchmarks.servers.numbered PORT``; ``GET /ready`` answers 200.
"""

import asyncio
import json
import struct
import sys
from collections import defaultdict
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

DIGITS = 10


class Member:
    """A connection, the number of its last delivery, and the frames that wait for the end of the turn."""

    def __init__(self, connection: ServerConnection) -> None:
        self.transport = connection.transport
        self.number = 0
        self.waiting: list[bytes] = []


class Chat:
    """The rooms, and one write for each member that has got messages in this turn."""

    def __init__(self) -> None:
        self.rooms: dict[str, set[Member]] = defaultdict(set)
        self.due: dict[Member, None] = {}

    def publish(self, room: str, content: object) -> None:
        """Queue `content` for each member of `room`, with the member's own number."""
        start, end = pieces(room, content)
        if not self.due:
            asyncio.get_running_loop().call_soon(self.flush)
        for member in self.rooms[room]:
            member.number += 1
            member.waiting.append(b"%b%010d%b" % (start, member.number, end))
            self.due[member] = None

    def flush(self) -> None:
        """Write what waits."""
        for member in self.due:
            member.transport.write(b"".join(member.waiting))
            member.waiting.clear()
        self.due.clear()

    async def talk(self, connection: ServerConnection) -> None:
        """Serve one connection: ``join_room`` and ``chat_message``, as the other servers do."""
        member = Member(connection)
        try:
            async for text in connection:
                message = json.loads(text)
                room = message["data"]["room"]
                if message["type"] == "chat_message":
                    self.publish(room, message["data"]["content"])
                    continue
                self.rooms[room].add(member)
                await connection.send(json.dumps({"type": "room_joined", "data": {"room": room}}))
        finally:
            for members in self.rooms.values():
                members.discard(member)


def pieces(room: str, content: object) -> tuple[bytes, bytes]:
    """A text frame (RFC 6455 section 5.2) that is the same for all receivers but for the number between."""
    data = json.dumps({"room": room, "content": content}, separators=(",", ":"))
    start, end = b'{"number":"', b'","type":"new_message","data":%b}' % data.encode()
    size = len(start) + DIGITS + len(end)
    head = struct.pack("!BB", 0x81, size) if size < 126 else struct.pack("!BBH", 0x81, 126, size)
    return head + start, end


def ready(connection: ServerConnection, request: Request) -> Response | None:
    """Answer what is no handshake."""
    return connection.respond(HTTPStatus.OK, "ok") if request.path == "/ready" else None


async def main(port: int) -> None:
    """Serve until the process is ended."""
    options = {"process_request": ready, "compression": None, "ping_interval": None, "backlog": 4096}
    async with serve(Chat().talk, "127.0.0.1", port, **options) as server:  # type: ignore[arg-type] # a table of options
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
