"""RFC 6455 frames of the load client, and the marks by which it recognises deliveries. Pure.

The client counts deliveries by one byte, `MARK`, which stands once in every message it sends and nowhere else
in what the servers send: a count over the received bytes costs some 20 ns per message where parsing each
frame in Python costs 500, so the client is not what limits the server under test. That the bytes are whole,
correct messages is checked before each measurement with a strict client (`benchmarks.preflight`).
"""

import re
import struct

MARK = b"^"
"""Stands once in every message. Neither JSON, HTTP nor the handshakes contain it; as the second byte of a
frame length it would mean messages of 94 or 350 bytes, which `content` avoids and the strict client
checks."""

PADDING = (
    "a bird in the hand is worth two in the bush, and so on and so forth, the quick brown fox jumps over"
)
STAMP = re.compile(rb"\^\d\d:\d{8}:(\d{16});")
"""Publisher, number and intended time (unix µs) of a message, as `content` writes them."""


def content(publisher: int, number: int, intended_us: int, length: int = 100) -> str:
    """The text of a message, `length` characters, constant for all messages of a run.

    >>> content(3, 7, 1_700_000_000_000_000, 50)
    '^03:00000007:1700000000000000;a bird in the hand i'
    """
    stamp = f"{MARK.decode()}{publisher:02}:{number:08}:{intended_us:016};"
    return (stamp + PADDING * (1 + length // len(PADDING)))[:length]


def own_mark(publisher: int) -> bytes:
    """What only the messages of `publisher` contain."""
    return b"%s%02d:" % (MARK, publisher)


def client_frame(opcode: int, payload: bytes) -> bytes:
    """A final frame from a client (RFC 6455 section 5.2), masked with the key 0: it stays readable."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + bytes(4) + payload


def text_frame(text: str) -> bytes:
    """A text message of a client as one frame."""
    return client_frame(0x1, text.encode())


def split_mark(tail: bytes, chunk: bytes, mark: bytes) -> tuple[int, bytes]:
    """How often `mark` ends in `chunk`, given the `tail` of what came before; and the new tail.

    >>> split_mark(b"^0", b"3:..^03:..^", b"^03:")
    (2, b'..^')
    """
    joined = tail + chunk
    return joined.count(mark), joined[1 - len(mark) :]
