"""Several workers on one port, as tests see them: the parent, its workers, sockets to all of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from tests.support.clients.raw_http import RawWebSocket
from tests.support.processes.command import DEADLINE_S, Command
from tests.support.processes.rtcli import rtcli

ROOM = "general"


class Deployment(Command):
    """A parent with its workers, once it has said where it listens."""

    def __init__(self, home: Path, *arguments: str, workers: int = 2) -> None:
        super().__init__("serve", "--workers", str(workers), "--port", "0", *arguments, home=home)
        self.wait_for("tail-events", stream="err")
        self.port = int(self.err.decode().partition("listening on ")[2].split()[0].rsplit(":", 1)[1])
        self._token = rtcli("token", "create", "--sub", "7", home=home).stdout.decode().strip()

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes of its workers, the oldest first."""
        parent = psutil.Process(self.process.pid)
        return sorted(parent.children(), key=lambda worker: worker.pid)

    def connect(self) -> tuple[str, RawWebSocket]:
        """Connect to whichever the kernel chooses, and join the room; gives the instance, too."""
        ws = RawWebSocket(self.port, f"/api/v1/ws?token={self._token}")
        instance: str = ws.until("pong")["data"]["instance_id"]
        ws.send("join_room", None, room=ROOM)
        ws.until("room_joined")
        return instance, ws

    @contextlib.contextmanager
    def everywhere(self, count: int = 2) -> Iterator[dict[str, RawWebSocket]]:
        """A socket to each of the `count` workers, by the worker's instance."""
        deadline = time.monotonic() + DEADLINE_S
        with contextlib.ExitStack() as stack:
            found: dict[str, RawWebSocket] = {}
            while len(found) < count:
                assert time.monotonic() < deadline, "the kernel does not spread connections"
                instance, ws = self.connect()
                if instance in found:
                    ws.sock.close()
                    time.sleep(0.01)
                else:
                    found[instance] = stack.enter_context(ws)
            yield found


Serve = Callable[..., Deployment]


def wait_gone(workers: Sequence[psutil.Process]) -> None:
    """Wait for the end of these processes."""
    _, alive = psutil.wait_procs(workers, timeout=DEADLINE_S)
    assert not alive


def say(sender: RawWebSocket, text: str) -> None:
    """Say something in the room."""
    sender.send("chat_message", text, room=ROOM, content=text)


def hears(ws: RawWebSocket, text: str) -> bool:
    """Wait for that text."""
    while ws.until("new_message")["data"]["content"] != text:
        pass
    return True


def is_alive(ws: RawWebSocket) -> bool:
    """Whether a ping is answered."""
    ws.send("ping")
    try:
        ws.until("pong")
    except AssertionError:
        return False
    return True
