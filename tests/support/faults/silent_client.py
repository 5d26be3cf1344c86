"""A client to be stopped: python -m tests.support.faults.silent_client PORT PATH TOKEN.

It joins a room, answers every ping, and says on stdout when it has joined and with which code it was closed.
"""

from __future__ import annotations

import json
import sys

from tests.support.clients.raw_http import CLOSE, PING, PONG, TEXT, RawWebSocket

PATIENCE_S = 60.0


def tell(**what: object) -> None:
    """Say one thing."""
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def follow(port: int, path: str, token: str) -> None:
    """Live until the server ends it."""
    with RawWebSocket(port, f"{path}?token={token}") as ws:
        ws.sock.settimeout(PATIENCE_S)
        ws.send("join_room", room="quiet")
        while (frame := ws.frame()) is not None:
            if frame.opcode == PING:
                ws.send_frame(PONG, frame.payload)
            elif frame.opcode == CLOSE:
                tell(closed=frame.code)
                return
            elif frame.opcode == TEXT:
                kind = json.loads(frame.payload)["type"]
                if kind == "ping":
                    ws.send("pong")
                elif kind == "room_joined":
                    tell(joined=True)
        tell(closed=None)


if __name__ == "__main__":
    follow(int(sys.argv[1]), sys.argv[2], sys.argv[3])
