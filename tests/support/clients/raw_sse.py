"""An event stream over a plain socket, read with our own parser."""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Self
from urllib.parse import urlencode

from rtcli.protocol.sse import ServerSentEvent, SSEParser
from tests.support.clients.raw_http import connect
from tests.support.servers.live_server import token


class EventStream:
    """One stream of a user with a good token. Every wait ends after 15 s with an error."""

    def __init__(
        self,
        port: int,
        *,
        rooms: tuple[str, ...] = (),
        sub: str = "7",
        last_event_id: str | None = None,
        path: str = "/api/v1/events/stream",
        bearer: str | None = None,
        query: str = "",
        headers: tuple[str, ...] = (),
    ) -> None:
        self.sock = connect(port)
        target = f"{path}?{urlencode([('room', room) for room in rooms])}{query}"
        lines = [f"GET {target} HTTP/1.1", "Host: a", f"Authorization: Bearer {bearer or token(sub)}"]
        lines += headers
        if last_event_id is not None:
            lines.append(f"Last-Event-ID: {last_event_id}")
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        self._data = b""
        self._parser = SSEParser()
        self._events: deque[ServerSentEvent] = deque()
        self.ended = False
        head = self._read_until(b"\r\n\r\n").decode()
        self.status = int(head.split(" ", 2)[1])
        pairs = (line.partition(":") for line in head.split("\r\n")[1:])
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def _more(self) -> None:
        data = self.sock.recv(65_536)
        if not data:
            raise ConnectionError("the stream was cut")
        self._data += data

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._data:
            self._more()
        part, _, self._data = self._data.partition(mark)
        return part

    def _read_chunk(self) -> bytes:
        """One chunk of the body; b"" for the last one (RFC 9112, section 7.1)."""
        size = int(self._read_until(b"\r\n"), 16)
        while len(self._data) < size + 2:
            self._more()
        chunk, end, self._data = self._data[:size], self._data[size : size + 2], self._data[size + 2 :]
        assert end == b"\r\n"
        return chunk

    def event(self) -> ServerSentEvent | None:
        """The next event, None when the stream has ended in order."""
        while not self._events and not self.ended:
            if "content-length" in self.headers:
                size = int(self.headers["content-length"])
                while len(self._data) < size:
                    self._more()
                chunk, self._data, self.ended = self._data[:size], self._data[size:], True
            else:
                chunk = self._read_chunk()
                self.ended = not chunk
            self._events += self._parser.feed(chunk)
        return self._events.popleft() if self._events else None

    def until(self, name: str) -> ServerSentEvent:
        """The next event of that name; others are skipped."""
        while True:
            event = self.event()
            assert event is not None, f"the stream ended before {name}"
            if event.event == name:
                return event

    def json(self, name: str) -> dict[str, Any]:
        """The data of the next event of that name."""
        data: dict[str, Any] = json.loads(self.until(name).data)
        return data

    @property
    def retry_ms(self) -> int | None:
        """The last `retry` that was read."""
        return self._parser.retry_ms
