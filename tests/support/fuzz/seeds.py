"""Inputs to begin with: what good and bad clients send. The first byte says how they are cut."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path

WHOLE, SINGLE_BYTES = b"\x00", b"\x01"
HEAD = b" HTTP/1.1\r\nHost: a\r\n"
UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
REQUESTS = (
    b"GET /healthz" + HEAD + b"\r\n",
    b"GET /healthz HTTP/1.0\r\n\r\n",
    b"HEAD /readyz" + HEAD + b"\r\n",
    b"OPTIONS *" + HEAD + b"\r\n",
    b"GET http://a/healthz" + HEAD + b"\r\n",
    b"GET /healthz" + HEAD + b"\r\nGET /metrics" + HEAD + b"\r\n",
    b"GET /api/v1/events/stream?room=a" + HEAD + b"Accept: text/event-stream\r\n\r\n",
    b"GET /api/v1/sse/stream" + HEAD + b"\r\n",
    b"POST /api/v1/events" + HEAD + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /api/v1/batch" + HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /api/v1/events" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nX: y\r\n\r\n",
    b"POST /api/v1/events" + HEAD + b"Transfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    b"GET /api/v1/ws" + HEAD + UPGRADE,
    b"GET /nothing" + HEAD + UPGRADE,
    b"GET /healthz" + HEAD + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nabGET /\r\n",
    b"GET /healthz" + HEAD + b"Connection: close\r\n\r\nGET /metrics" + HEAD + b"\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nX:\r\n folded\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /healthz\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01",
)  # fmt: skip
MESSAGES: tuple[dict[str, object], ...] = (
    {"type": "ping"},
    {"type": "pong"},
    {"type": "join_room", "data": {"room": "a", "history": 5}, "id": "1"},
    {"type": "join_room", "data": {"room": "a", "since": "k3f9-42"}},
    {"type": "chat_message", "data": {"room": "a", "content": "hé"}, "id": "2"},
    {"type": "typing", "data": {"room": "a", "is_typing": True}},
    {"type": "leave_room", "data": {"room": "a"}},
    {"type": "refresh", "data": {"token": "a.b.c"}},
)


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A frame with a mask of zeros: its payload is readable, and can be changed."""
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes([0x80 * final | opcode]) + size + bytes(4) + payload


def frames() -> Iterator[bytes]:
    """Inputs for the readers of frames."""
    texts = [json.dumps(message).encode() for message in MESSAGES]
    yield from (frame(1, text) for text in texts)
    yield b"".join(frame(1, text) for text in texts)
    yield (
        frame(1, texts[4][:20], final=False)
        + frame(9, b"p")
        + frame(0, texts[4][20:])
        + frame(8, b"\x03\xe8")
    )
    yield frame(2, b"\x00\xff") + frame(8, b"\x0b\xb8bye")
    yield frame(10, b"") + frame(8, b"") + frame(1, b"late")
    yield frame(1, b"\xff\xfe") + frame(8, b"\x03")
    yield b"\x81\xff" + bytes([0, 0, 0, 0, 0, 1, 0, 0]) + bytes(4)
    yield b"\xc1\x80" + bytes(4)


def write(folder: Path, inputs: Iterator[bytes]) -> None:
    """Write inputs, whole and in single bytes, under their hashes as libFuzzer does."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        for cut in (WHOLE, SINGLE_BYTES):
            (folder / sha1(cut + data).hexdigest()).write_bytes(cut + data)  # noqa: S324 - a name


if __name__ == "__main__":
    write(Path(sys.argv[1]) / "http", iter(REQUESTS))
    write(Path(sys.argv[1]) / "frames", frames())
