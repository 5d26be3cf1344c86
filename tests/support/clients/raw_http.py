"""A WebSocket client that can do everything wrong: sockets and bytes, nothing else."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from typing import Any, NamedTuple, Self

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, section 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
TIMEOUT_S = 15.0


class Frame(NamedTuple):
    """One frame of the server."""

    opcode: int
    payload: bytes
    fin: bool = True

    @property
    def code(self) -> int | None:
        """The code of a close frame."""
        return int.from_bytes(self.payload[:2], "big") if len(self.payload) >= 2 else None

    @property
    def reason(self) -> str:
        """The reason of a close frame."""
        return self.payload[2:].decode()


class Response(NamedTuple):
    """The head of an HTTP response, and its body as far as Content-Length says."""

    status: int
    headers: dict[str, str]
    body: bytes


def connect(port: int) -> socket.socket:
    """Open a TCP connection."""
    return socket.create_connection(("127.0.0.1", port), TIMEOUT_S)


def read_response(sock: socket.socket) -> Response | None:
    """Read one response; None when the connection ended without one."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            more = sock.recv(1 if b"\r\n\r" in data else 4_096 if not data else 1)
        except ConnectionError:
            more = b""
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in lines[1:])
    }
    while len(body) < int(headers.get("content-length", "0")):
        more = sock.recv(4_096)
        if not more:
            break
        body += more
    return Response(int(lines[0].split()[1]), headers, body)


def read_all(sock: socket.socket) -> bytes:
    """Everything until the server ends the connection, in order or not."""
    data = b""
    try:
        while more := sock.recv(65_536):
            data += more
    except ConnectionResetError:
        pass
    return data


def handshake_bytes(
    path: str,
    *,
    method: str = "GET",
    version: str = "HTTP/1.1",
    replace: dict[str, str | list[str] | None] | None = None,
) -> bytes:
    """An upgrade request. `replace` puts other values for headers; None leaves one out, a list repeats it."""
    headers: dict[str, str | list[str] | None] = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
        **(replace or {}),
    }
    lines = [f"{method} {path} {version}"]
    for name, value in headers.items():
        values = [] if value is None else value if isinstance(value, list) else [value]
        lines += [f"{name}: {item}" for item in values]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class RawWebSocket:
    """One connection. Every wait ends after 15 s with an error."""

    def __init__(
        self, port: int, path: str, headers: dict[str, str | list[str] | None] | None = None
    ) -> None:
        self.sock = connect(port)
        self._data = b""
        self.sock.sendall(handshake_bytes(path, replace=headers))
        response = self._read_head()
        self.status = response.status
        self.headers = response.headers
        self.body = response.body

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def _read_head(self) -> Response:
        while b"\r\n\r\n" not in self._data:
            more = self.sock.recv(65_536)
            assert more, "the connection ended within the handshake"
            self._data += more
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        size = int(headers.get("content-length", "0"))
        while len(self._data) < size:
            self._data += self.sock.recv(65_536)
        body, self._data = self._data[:size], self._data[size:]
        return Response(int(lines[0].split()[1]), headers, body)

    # -- sending -------------------------------------------------------------------------------------------

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are; a connection that is closed already does not matter."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def send_frame(
        self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True
    ) -> None:
        """Send one frame."""
        self.send_raw(encode(opcode, payload, fin=fin, rsv=rsv, mask=mask))

    def send_text(self, text: str) -> None:
        """Send one whole text message."""
        self.send_frame(TEXT, text.encode())

    def send(self, type_: str, id_: str | None = None, **data: object) -> None:
        """Send one message of the protocol."""
        message: dict[str, object] = {"type": type_, "data": data}
        if id_ is not None:
            message["id"] = id_
        self.send_text(json.dumps(message))

    # -- receiving -----------------------------------------------------------------------------------------

    def _read(self, size: int) -> bytes | None:
        while len(self._data) < size:
            try:
                more = self.sock.recv(65_536)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self._data += more
        data, self._data = self._data[:size], self._data[size:]
        return data

    def frame(self) -> Frame | None:
        """The next frame; None at the end of the connection. The server never masks."""
        head = self._read(2)
        if head is None:
            return None
        assert not head[1] & 0x80, "a server must not mask"
        assert not head[0] & 0x70, "no extension was negotiated"
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(self._read(2) or b"", "big")
        elif size == 127:
            size = int.from_bytes(self._read(8) or b"", "big")
        payload = self._read(size)
        return None if payload is None else Frame(head[0] & 0xF, payload, bool(head[0] & 0x80))

    def message(self) -> dict[str, Any]:
        """The next text message; pings are answered, pongs skipped."""
        while True:
            frame = self.frame()
            assert frame is not None, "the connection ended"
            if frame.opcode == PING:
                self.send_frame(PONG, frame.payload)
            if frame.opcode in {PING, PONG}:
                continue
            assert frame.opcode == TEXT, frame
            message: dict[str, Any] = json.loads(frame.payload)
            return message

    def until(self, *types: str) -> dict[str, Any]:
        """The next message of one of these types; others are skipped."""
        while True:
            message = self.message()
            if message["type"] in types:
                return message

    def close_frame(self) -> Frame | None:
        """The close frame, whatever comes before it; None when the connection ended without one."""
        while True:
            frame = self.frame()
            if frame is None or frame.opcode == CLOSE:
                return frame

    def ended(self) -> bool:
        """Read on until the server ends the connection; False if it has not within the time limit."""
        deadline = time.monotonic() + TIMEOUT_S
        try:
            while self._read(1) is not None:
                assert time.monotonic() < deadline
        except TimeoutError:
            return False
        return True


def encode(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bool = True,
    size: int | None = None,
) -> bytes:
    """One frame; `size` announces another length than the payload's."""
    size = len(payload) if size is None else size
    first = (0x80 if fin else 0) | (rsv << 4) | opcode
    flag = 0x80 if mask else 0
    if size < 126:
        head = struct.pack("!BB", first, flag | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, flag | 126, size)
    else:
        head = struct.pack("!BBQ", first, flag | 127, size)
    if not mask:
        return head + payload
    key = os.urandom(4)
    masked = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
    return head + key + masked
