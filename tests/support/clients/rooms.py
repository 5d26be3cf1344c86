"""Users of rooms on raw WebSockets: connect, join, say."""

from __future__ import annotations

import asyncio
import time

from rtcli_server.broker import Published
from rtcli_server.realtime import RealtimeServer
from tests.support.clients.raw_http import RawWebSocket
from tests.support.servers.live_server import LiveServer, token
from tests.support.waiting import wait_until


def open_ws(
    server: LiveServer, sub: str = "7", *, path: str = "/api/v1/ws", name: str = "Ann"
) -> RawWebSocket:
    """Connect with a good token, and take the greeting."""
    ws = connect_ws(server, sub, path=path, name=name)
    greeting = ws.message()
    assert greeting["type"] == "pong"
    return ws


def connect_ws(
    server: LiveServer, sub: str = "7", *, path: str = "/api/v1/ws", name: str = "Ann"
) -> RawWebSocket:
    """Connect with a good token; the greeting, or what comes instead of it, is still to be read."""
    separator = "&" if "?" in path else "?"
    ws = RawWebSocket(server.port, f"{path}{separator}token={token(sub, name=name)}")
    assert ws.status == 101, ws.body
    return ws


def join(ws: RawWebSocket, room: str, **more: str | int) -> dict[str, object]:
    """Join, and return the data of the reply."""
    ws.send("join_room", None, room=room, **more)
    data: dict[str, object] = ws.until("room_joined")["data"]
    return data


def say(ws: RawWebSocket, room: str, *texts: str) -> None:
    """Publish, each after the acknowledgement of the one before."""
    for text in texts:
        ws.send("chat_message", f"id-{text}", room=room, content=text)
        ws.until("ack")


def publish_event(server: LiveServer, channel: str, *numbers: int) -> None:
    """Publish `news` with these numbers, or with a 1, as the HTTP API does: each is in the log afterwards."""
    for number in numbers or (1,):

        def start(realtime: RealtimeServer, data: bytes = b'{"n":%d}' % number) -> asyncio.Future[Published]:
            return realtime.broker.publish(channel, "news", data, time_ms=int(time.time() * 1000))

        future = server.ask(start)
        wait_until(future.done)
