"""A forward proxy: CONNECT, and absolute form (RFC 9112, section 3.2.2). Every host is loopback."""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from typing_extensions import override


@dataclass
class ForwardProxy:
    """`asked` has `CONNECT host:port` or `GET http://host:port/path` of each request.

    `status` is what it answers instead of forwarding; `credentials` what it wants (`Basic ...`).
    """

    status: int | None = None
    credentials: str | None = None
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        head, rest = _read_head(client)
        method, target = head.split(" ", 2)[:2]
        self.asked.append(f"{method} {target}")
        if self.credentials is not None and f"Proxy-Authorization: {self.credentials}\r\n" not in head:
            client.sendall(_answer(407))
        elif self.status is not None:
            client.sendall(_answer(self.status))
        else:
            self._forward(client, method, target, head, rest)

    def _forward(self, client: socket.socket, method: str, target: str, head: str, rest: bytes) -> None:
        address = target if method == "CONNECT" else target.split("/")[2]
        try:
            server = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=30)
        except OSError:
            client.sendall(_answer(502))
            return
        with server:
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                server.sendall(rest)
            else:
                path = f"/{target.split('/', 3)[3]}"
                fields = head.partition("\r\n")[2]
                fields = re.sub(r"(?im)^(proxy-\w+|connection):.*\r\n", "", fields)
                begin = f"{method} {path} HTTP/1.1\r\nConnection: close\r\n{fields}"
                server.sendall(begin.encode() + rest)
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join(30)


def _read_head(client: socket.socket) -> tuple[str, bytes]:
    found = b""
    while b"\r\n\r\n" not in found:
        data = client.recv(65_536)
        if not data:
            raise ConnectionError
        found += data
    head, _, rest = found.partition(b"\r\n\r\n")
    return f"{head.decode()}\r\n\r\n", rest


def _answer(status: int) -> bytes:
    return f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def forward_proxy(*, status: int | None = None, credentials: str | None = None) -> Iterator[ForwardProxy]:
    """Run a proxy on loopback."""
    proxy = ForwardProxy(status, credentials)

    class Handler(socketserver.BaseRequestHandler):
        @override
        def handle(self) -> None:
            self.request.settimeout(30)
            with contextlib.suppress(OSError):
                proxy.serve(self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        proxy.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
