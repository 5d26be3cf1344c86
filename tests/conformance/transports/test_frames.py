"""RFC 6455 on the wire, on both transports: the rules that cases 1-7 and 10 of the Autobahn suite check.

The rows W1-W14 of the bad-input tables are here too. This protocol has no echo: that a text message arrived
complete is shown by the answer to `ping`, which repeats its `id`.
"""

from __future__ import annotations

import json
import socket
import struct
from itertools import pairwise

import pytest

from tests.support.clients.raw_http import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawWebSocket,
    encode,
)
from tests.support.clients.rooms import open_ws
from tests.support.servers.live_server import LiveServer

PING_MESSAGE = json.dumps({"type": "ping", "id": "héllo-😀"}, ensure_ascii=False).encode()


def assert_alive(ws: RawWebSocket) -> None:
    ws.send_frame(TEXT, PING_MESSAGE)
    reply = ws.until("pong")
    assert reply["id"] == "héllo-😀"


def assert_closed(ws: RawWebSocket, *codes: int) -> None:
    """The server gives the reason, answers nothing more, and ends the TCP connection."""
    close = ws.close_frame()
    assert close is not None, "the connection ended without a close frame"
    assert close.code in codes, close
    ws.send_frame(CLOSE, close.payload[:2])
    assert ws.frame() is None


@pytest.fixture(autouse=True)
def still_serving(server: LiveServer) -> object:
    """After every row, the same server must still serve a good client."""
    yield
    with open_ws(server) as ws:
        assert_alive(ws)


# -- 1: framing, 5: fragmentation -------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [0, 60, 125 - len(PING_MESSAGE), 126, 1_000, 60_000])
def test_text_of_any_length(server: LiveServer, padding: int) -> None:
    with open_ws(server) as ws:
        ws.send_frame(TEXT, PING_MESSAGE + b" " * max(0, padding))
        assert ws.until("pong")["id"] == "héllo-😀"


def test_a_message_of_the_limit_is_taken_and_one_byte_more_is_not(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_frame(TEXT, PING_MESSAGE.ljust(65_536))
        assert ws.until("pong")["id"] == "héllo-😀"
        ws.send_frame(TEXT, PING_MESSAGE.ljust(65_537))
        assert_closed(ws, 1009)


def test_fragments_over_the_limit_together(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_frame(TEXT, PING_MESSAGE.ljust(40_000), fin=False)
        ws.send_frame(CONTINUATION, b" " * 40_000)
        assert_closed(ws, 1009)


@pytest.mark.parametrize("cuts", [[1], [5, 6], [18, 19, 20, 21, 22, 23], list(range(1, len(PING_MESSAGE)))])
def test_fragments_cut_anywhere(server: LiveServer, cuts: list[int]) -> None:
    """Also within a character: only the whole message must be UTF-8 (section 5.6)."""
    edges = [0, *cuts, len(PING_MESSAGE)]
    with open_ws(server) as ws:
        for number, (start, end) in enumerate(pairwise(edges)):
            opcode = CONTINUATION if number else TEXT
            ws.send_frame(opcode, PING_MESSAGE[start:end], fin=end == len(PING_MESSAGE))
        assert ws.until("pong")["id"] == "héllo-😀"


def test_empty_fragments(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_frame(TEXT, b"", fin=False)
        ws.send_frame(CONTINUATION, PING_MESSAGE, fin=False)
        ws.send_frame(CONTINUATION, b"")
        assert ws.until("pong")["id"] == "héllo-😀"


def test_control_frames_within_a_fragmented_message(server: LiveServer) -> None:
    """Section 5.4: "Control frames MAY be injected in the middle of a fragmented message"."""
    with open_ws(server) as ws:
        ws.send_frame(TEXT, PING_MESSAGE[:7], fin=False)
        ws.send_frame(PING, b"between")
        pong = ws.frame()
        assert pong is not None
        assert (pong.opcode, pong.payload) == (PONG, b"between")
        ws.send_frame(CONTINUATION, PING_MESSAGE[7:])
        assert ws.until("pong")["id"] == "héllo-😀"


@pytest.mark.parametrize("chunk", [1, 2, 997])
def test_frames_cut_by_tcp(server: LiveServer, chunk: int) -> None:
    data = encode(TEXT, PING_MESSAGE.ljust(300)) + encode(PING, b"x") + encode(TEXT, PING_MESSAGE)
    with open_ws(server) as ws:
        ws.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), chunk):
            ws.send_raw(data[start : start + chunk])
        assert ws.until("pong")["id"] == "héllo-😀"
        assert ws.until("pong")["id"] == "héllo-😀"


def test_many_frames_in_one_segment(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_raw(encode(TEXT, b'{"type":"ping"}') * 50)
        for _ in range(50):
            assert ws.message()["type"] == "pong"


OUT_OF_ORDER = {
    "continuation of nothing": [(CONTINUATION, b"x", True)],
    "continuation of nothing, not final": [(CONTINUATION, b"x", False)],
    "continuation after a whole message": [(TEXT, b'{"type":"ping"}', True), (CONTINUATION, b"x", True)],
    "text within a fragmented text": [(TEXT, b"a", False), (TEXT, b"b", True)],
    "text within, not final": [(TEXT, b"a", False), (TEXT, b"b", False)],
    "binary within a fragmented text": [(TEXT, b"a", False), (BINARY, b"b", True)],
    "text within a fragmented binary": [(BINARY, b"a", False), (TEXT, b"b", True)],
}


@pytest.mark.parametrize("frames", OUT_OF_ORDER.values(), ids=OUT_OF_ORDER)
def test_frames_out_of_order(server: LiveServer, frames: list[tuple[int, bytes, bool]]) -> None:
    with open_ws(server) as ws:
        for opcode, payload, fin in frames:
            ws.send_frame(opcode, payload, fin=fin)
        assert_closed(ws, 1002)


# -- 2: pings and pongs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"hello", b"\x00\xff\xfe", b"x" * 125])
def test_a_ping_is_answered_with_its_payload(server: LiveServer, payload: bytes) -> None:
    with open_ws(server) as ws:
        ws.send_frame(PING, payload)
        pong = ws.frame()
        assert pong is not None
        assert (pong.opcode, pong.payload) == (PONG, payload)


def test_ten_pings_are_answered_in_order(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_raw(b"".join(encode(PING, bytes([number])) for number in range(10)))
        for number in range(10):
            pong = ws.frame()
            assert pong is not None
            assert (pong.opcode, pong.payload) == (PONG, bytes([number]))


def test_pongs_that_nobody_asked_for_are_ignored(server: LiveServer) -> None:
    with open_ws(server) as ws:
        for payload in (b"", b"unasked", b"x" * 125):
            ws.send_frame(PONG, payload)
        assert_alive(ws)


# -- 3, 4: reserved bits and opcodes; sections 5.2 and 5.5 ------------------------------------------------


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG, CLOSE])
def test_reserved_bits(server: LiveServer, opcode: int, rsv: int) -> None:
    payload = {TEXT: PING_MESSAGE, CLOSE: b"\x03\xe8"}.get(opcode, b"x")
    with open_ws(server) as ws:
        ws.send_frame(opcode, payload, rsv=rsv)
        assert_closed(ws, 1002)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF])
def test_reserved_opcodes(server: LiveServer, opcode: int) -> None:
    with open_ws(server) as ws:
        ws.send_frame(opcode, b"x")
        assert_closed(ws, 1002)


BAD_CONTROL = {
    "ping of 126 bytes": encode(PING, b"x" * 126),
    "pong of 126 bytes": encode(PONG, b"x" * 126),
    "close of 126 bytes": encode(CLOSE, b"\x03\xe8" + b"x" * 124),
    "fragmented ping": encode(PING, b"x", fin=False),
    "fragmented pong": encode(PONG, b"x", fin=False),
    "fragmented close": encode(CLOSE, b"\x03\xe8", fin=False),
}


@pytest.mark.parametrize("data", BAD_CONTROL.values(), ids=BAD_CONTROL)
def test_bad_control_frames(server: LiveServer, data: bytes) -> None:
    with open_ws(server) as ws:
        ws.send_raw(data)
        assert_closed(ws, 1002)


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_frames_without_a_mask(server: LiveServer, opcode: int) -> None:
    """Section 5.1: "The server MUST close the connection upon receiving a frame that is not masked"."""
    with open_ws(server) as ws:
        ws.send_frame(opcode, b"\x03\xe8" if opcode == CLOSE else b"{}", mask=False)
        assert_closed(ws, 1002)


ANNOUNCED = {
    "2^63": (struct.pack("!BBQ", 0x81, 0xFF, 2**63), {1002, 1009}),
    "2^63 - 1": (struct.pack("!BBQ", 0x81, 0xFF, 2**63 - 1), {1009}),
    "17 MiB": (struct.pack("!BBQ", 0x81, 0xFF, 17 * 2**20), {1009}),
    "one over the limit": (struct.pack("!BBQ", 0x81, 0xFF, 65_537), {1009}),
}


@pytest.mark.parametrize(("head", "codes"), ANNOUNCED.values(), ids=ANNOUNCED)
def test_a_length_over_the_limit_is_refused_when_announced(
    server: LiveServer, head: bytes, codes: set[int]
) -> None:
    with open_ws(server) as ws:
        ws.send_raw(head + b"mask")
        assert_closed(ws, *codes)


# -- 6: UTF-8 ---------------------------------------------------------------------------------------------

NOT_UTF8 = {
    "FF": b"\xff",
    "overlong slash": b"\xc0\xaf",
    "overlong NUL": b"\xc0\x80",
    "surrogate": b"\xed\xa0\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "lone continuation": b"\x80",
    "cut short": b"\xe2\x82",
    "within": b'{"type":"ping","id":"\xce\xba\xff"}',
}


@pytest.mark.parametrize("payload", NOT_UTF8.values(), ids=NOT_UTF8)
def test_text_that_is_not_utf8(server: LiveServer, payload: bytes) -> None:
    """Section 8.1: "_Fail the WebSocket Connection_"."""
    with open_ws(server) as ws:
        ws.send_frame(TEXT, payload)
        assert_closed(ws, 1007)


@pytest.mark.parametrize("payload", NOT_UTF8.values(), ids=NOT_UTF8)
def test_fragments_that_are_not_utf8(server: LiveServer, payload: bytes) -> None:
    with open_ws(server) as ws:
        ws.send_frame(TEXT, payload[:1], fin=False)
        ws.send_frame(CONTINUATION, payload[1:])
        assert_closed(ws, 1007)


# -- 7: closing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999]
)
def test_a_close_is_echoed(server: LiveServer, code: int) -> None:
    with open_ws(server) as ws:
        ws.send_frame(CLOSE, code.to_bytes(2, "big") + "bye é".encode())
        close = ws.close_frame()
        assert close is not None
        assert close.code == code
        assert ws.frame() is None


def test_an_empty_close_is_echoed(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_frame(CLOSE)
        close = ws.close_frame()
        assert close is not None
        assert close.code in {None, 1000}
        assert ws.frame() is None


def test_of_two_close_frames_the_first_is_answered(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_raw(encode(CLOSE, b"\x03\xe8") + encode(CLOSE, b"\x03\xe9"))
        close = ws.close_frame()
        assert close is not None
        assert close.code == 1000
        assert ws.ended()


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])
def test_close_codes_that_must_not_be_sent(server: LiveServer, code: int) -> None:
    with open_ws(server) as ws:
        ws.send_frame(CLOSE, code.to_bytes(2, "big"))
        close = ws.close_frame()
        assert close is not None
        assert close.code == 1002
        assert ws.ended()


def test_a_close_with_half_a_code(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_frame(CLOSE, b"\x03")
        close = ws.close_frame()
        assert close is not None
        assert close.code == 1002
        assert ws.ended()


def test_a_close_reason_that_is_not_utf8(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_frame(CLOSE, b"\x03\xe8\xff\xfe")
        close = ws.close_frame()
        assert close is not None
        assert close.code == 1007
        assert ws.ended()


def test_the_longest_reason(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_frame(CLOSE, b"\x03\xe8" + b"x" * 123)
        close = ws.close_frame()
        assert close is not None
        assert close.code == 1000


def test_what_comes_after_a_close_is_ignored(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_raw(encode(CLOSE, b"\x03\xe8") + encode(TEXT, PING_MESSAGE) + encode(PING, b"x"))
        close = ws.close_frame()
        assert close is not None
        assert close.code == 1000
        assert ws.frame() is None


# -- the rest of W ----------------------------------------------------------------------------------------


def test_a_binary_frame_gets_an_error_and_1003(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_frame(BINARY, b"{}")
        assert ws.until("error")["data"]["code"] == "unsupported_data"
        assert_closed(ws, 1003)


def test_a_fragmented_binary_message(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_frame(BINARY, b"{", fin=False)
        ws.send_frame(CONTINUATION, b"}")
        assert ws.until("error")["data"]["code"] == "unsupported_data"
        assert_closed(ws, 1003)


def test_too_many_fragments(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_frame(TEXT, b"", fin=False)
        ws.send_raw(encode(CONTINUATION, b"", fin=False) * 100)
        assert_closed(ws, 1008)


def test_a_message_in_64_fragments_is_taken(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_frame(TEXT, PING_MESSAGE, fin=False)
        ws.send_raw(encode(CONTINUATION, b" ", fin=False) * 62)
        ws.send_frame(CONTINUATION, b" ")
        assert ws.until("pong")["id"] == "héllo-😀"


def test_a_flood_of_pings_is_refused(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_raw(encode(PING, b"x") * 10_000)
        assert_closed(ws, 1008)


def test_some_hundred_pings_are_answered(server: LiveServer) -> None:
    with open_ws(server) as ws:
        ws.send_raw(encode(PING, b"x") * 400)
        for _ in range(400):
            pong = ws.frame()
            assert pong is not None
            assert pong.opcode == PONG


def test_a_connection_that_vanishes_is_cleaned_up(server: LiveServer) -> None:
    server.wait_until(lambda realtime: not realtime.hub.clients)
    for ending in ("rst within a frame", "fin without a close", "half-close"):
        ws = open_ws(server)
        server.wait_until(lambda realtime: len(realtime.hub.clients) == 1)
        if ending == "rst within a frame":
            ws.send_raw(encode(TEXT, PING_MESSAGE)[:5])
            ws.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            ws.sock.close()
        elif ending == "half-close":
            ws.sock.shutdown(socket.SHUT_WR)
        else:
            ws.sock.close()
        server.wait_until(lambda realtime: not realtime.hub.clients)
        ws.sock.close()
