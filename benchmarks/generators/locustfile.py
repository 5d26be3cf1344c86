"""Locust: users that join a room and receive, one greenlet each. Runs in Locust's own environment.

Counted between WINDOW_START and WINDOW_END (unix ms); latency from the stamp in the text.
"""

import json
import os
import time
from array import array
from pathlib import Path

import websocket  # type: ignore[import-not-found]  # Locust has an environment of its own
from locust import User, events, task  # type: ignore[import-not-found] # Locust is installed apart, and untyped

START, END = int(os.environ["WINDOW_START"]), int(os.environ["WINDOW_END"])
latencies = array("d")


class Reader(User):  # type: ignore[misc] # Locust is installed apart, and untyped
    """One user: a socket that is read until the window is over."""

    def on_start(self) -> None:
        """Connect and join."""
        self.socket = websocket.create_connection(f"{os.environ['URL']}?token={os.environ['TOKEN']}")
        self.socket.send(json.dumps({"type": "join_room", "data": {"room": "bench"}}))

    @task  # type: ignore[untyped-decorator] # Locust is installed apart, and untyped
    def read(self) -> None:
        """Receive until the window is over, count and time what comes within it."""
        while True:
            message = json.loads(self.socket.recv())
            now = time.time() * 1000
            if now >= END:
                break
            if message["type"] == "new_message" and now >= START:
                latencies.append(now - int(message["data"]["content"][13:29]) / 1000)
        time.sleep(3600)


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
