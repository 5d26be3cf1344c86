"""Locust: users that join a room, or follow its event stream, and receive; one greenlet each.

Runs in Locust's own environment. Counted between WINDOW_START and WINDOW_END (unix ms); latency from the
stamp in the text.
"""

import http.client
import json
import os
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import websocket  # type: ignore[import-not-found]  # Locust has an environment of its own
from locust import User, events, task  # type: ignore[import-not-found] # Locust is installed apart, and untyped

URL, TOKEN = os.environ["URL"], os.environ["TOKEN"]
START, END = int(os.environ["WINDOW_START"]), int(os.environ["WINDOW_END"])
STREAMS = URL.startswith("http:")
latencies = array("d")


def count(messages: Iterator[dict[str, Any]]) -> None:
    """Read the data of a room's messages until the window is over; count and time what comes within it."""
    for data in messages:
        now = time.time() * 1000
        if now >= END:
            break
        if now >= START:
            latencies.append(now - int(data["content"][13:29]) / 1000)
    time.sleep(3600)


class SocketReader(User):  # type: ignore[misc] # Locust is installed apart, and untyped
    """A WebSocket in the room."""

    abstract = STREAMS

    def on_start(self) -> None:
        """Connect and join."""
        self.socket = websocket.create_connection(f"{URL}?token={TOKEN}")
        self.socket.send(json.dumps({"type": "join_room", "data": {"room": "bench"}}))

    @task  # type: ignore[untyped-decorator] # Locust is installed apart, and untyped
    def read(self) -> None:
        """Count what comes."""
        count(self.messages())

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield what comes in ``new_message``."""
        while True:
            message = json.loads(self.socket.recv())
            if message["type"] == "new_message":
                yield message["data"]


class StreamReader(User):  # type: ignore[misc] # Locust is installed apart, and untyped
    """An event stream of the room."""

    abstract = not STREAMS

    def on_start(self) -> None:
        """Open the stream."""
        where = urlsplit(URL)
        self.connection = http.client.HTTPConnection(where.netloc)
        self.connection.request("GET", f"{where.path}?room=bench&token={TOKEN}")
        self.answer = self.connection.getresponse()

    @task  # type: ignore[untyped-decorator] # Locust is installed apart, and untyped
    def read(self) -> None:
        """Count what comes."""
        count(self.messages())

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield the data of the events ``new_message``."""
        event = b""
        while line := self.answer.readline():
            if line.startswith(b"event:"):
                event = line[6:].strip()
            elif line.startswith(b"data:") and event == b"new_message":
                yield json.loads(line[5:])


@events.quitting.add_listener  # type: ignore[untyped-decorator] # Locust is installed apart, and untyped
def report(**_: object) -> None:
    """Write what was counted."""
    ordered = sorted(latencies)
    result = {
        "received": len(ordered),
        "p50_ms": ordered[len(ordered) // 2] if ordered else None,
        "p99_ms": ordered[len(ordered) * 99 // 100] if ordered else None,
    }
    Path(os.environ["RESULT_FILE"]).write_text(json.dumps(result))
