"""Servers that a load test may be pointed at by mistake: each does one strange thing to every connection."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator

Answer = Callable[[socket.socket, bytes], None]


def plain(text: str) -> Answer:
    """Answer with these bytes and close."""

    def answer(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(text.encode("latin-1"))

    return answer


def silence(connection: socket.socket, _request: bytes) -> None:
    """Never answer."""
    connection.settimeout(30)
    with contextlib.suppress(OSError):
        connection.recv(1)


def websocket(*frames: bytes) -> Answer:
    """Take the handshake, then send these frames and close."""

    def answer(connection: socket.socket, request: bytes) -> None:
        key = next(
            line.split(b":", 1)[1].strip()
            for line in request.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key:")
        )
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324 - RFC 6455
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n" + b"".join(frames)
        )
        connection.settimeout(10)
        with contextlib.suppress(OSError):
            while connection.recv(4096):
                pass

    return answer


def close_frame(code: int, reason: str) -> bytes:
    payload = code.to_bytes(2, "big") + reason.encode()
    return bytes([0x88, len(payload)]) + payload


@contextlib.contextmanager
def target(answer: Answer) -> Iterator[str]:
    """Such a server on a free port; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stopped = threading.Event()

        def serve_one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError, StopIteration):
                request = b""
                while b"\r\n\r\n" not in request:
                    data = connection.recv(4096)
                    if not data:
                        return
                    request += data
                answer(connection, request)

        def serve() -> None:
            while not stopped.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopped.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
