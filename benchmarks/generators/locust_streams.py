"""Locust: users that follow an event stream, one greenlet each. Runs in Locust's own environment.

Counted between WINDOW_START and WINDOW_END (unix ms); latency from the stamp in the text.
"""

import http.client
import json
import os
import time
from array import array
from pathlib import Path
from urllib.parse import urlsplit

from locust import User, events, task  # type: ignore[import-not-found] # Locust is installed apart, and untyped

START, END = int(os.environ["WINDOW_START"]), int(os.environ["WINDOW_END"])
latencies = array("d")


class Reader(User):  # type: ignore[misc] # Locust is installed apart, and untyped
    """One user: an event stream that is read until the window is over."""

    def on_start(self) -> None:
        """Open the stream of the room."""
        where = urlsplit(os.environ["URL"])
        self.connection = http.client.HTTPConnection(where.netloc)
        self.connection.request("GET", f"{where.path}?room=bench&token={os.environ['TOKEN']}")
        self.answer = self.connection.getresponse()

    @task  # type: ignore[untyped-decorator] # Locust is installed apart, and untyped
    def read(self) -> None:
        """Read until the window is over, count and time what comes within it."""
        event = b""
        while line := self.answer.readline():
            if line.startswith(b"event:"):
                event = line[6:].strip()
            elif line.startswith(b"data:") and event == b"new_message":
                message = json.loads(line[5:])
                now = time.time() * 1000
                if now >= END:
                    break
                if now >= START:
                    latencies.append(now - int(message["content"][13:29]) / 1000)
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
