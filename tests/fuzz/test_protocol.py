"""For any input, each parser of the protocol returns a value or raises its documented error."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcli.protocol.messages import MessageError, decode_client, decode_server, encode
from rtcli.protocol.messages.strict_json import NotAcceptedError, check_text, parse
from rtcli.protocol.position import InvalidPositionError, format_cursor, parse_cursor, parse_position
from rtcli.protocol.rooms import is_valid_room
from rtcli.protocol.sse import SSELimitError, SSEParser
from rtcli_server.session.decisions import Join
from rtcli_server.session.session import Session
from rtcli_server.session.settings import HeartbeatMode, SessionSettings
from tests.support.fakes.session import WALL, FakeRights
from tests.support.protocol.client_messages import messages
from tests.support.protocol.server_messages import CATALOGUE

EXAMPLES = 400
fuzz = settings(max_examples=EXAMPLES)

any_text = st.text(max_size=200)  # includes surrogates and NUL
any_bytes = st.binary(max_size=300)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_types = st.sampled_from(
    ["ping", "pong", "join_room", "leave_room", "chat_message", "typing", "refresh", "cursor", "new_message",
     "ack", "gap",
     "error", "event", "room_joined", "closing"]
)  # fmt: skip
_keys = st.sampled_from(
    ["room", "content", "is_typing", "token", "since", "history", "offset", "epoch", "code"]
)
# Almost messages: the right names with any values; `json.dumps` also writes NaN and lone surrogates.
near_messages = st.builds(
    lambda fields, data: json.dumps({**fields, "data": data}),
    st.fixed_dictionaries({"type": _types | _values}, optional={"id": _values, "timestamp": _values}),
    st.dictionaries(_keys, _values, max_size=6) | _values,
)
_good = st.one_of(messages.map(encode), st.sampled_from([text.encode() for _, text in CATALOGUE]))


def _damage(text: bytes, at: int, length: int, piece: bytes) -> bytes:
    at %= len(text) + 1
    return text[:at] + piece + text[at + length :]


damaged = st.builds(_damage, _good, st.integers(0, 500), st.integers(0, 5), st.binary(max_size=4))
frames = st.one_of(any_text, near_messages, any_bytes, damaged)


@fuzz
@given(frames)
def test_decode_client(frame: str | bytes) -> None:
    refusal = None
    try:
        message = decode_client(frame)
    except MessageError as error:
        refusal = error
    else:
        assert decode_client(encode(message)) == message, "what was taken can be passed on"
    if refusal is not None:
        check_text(refusal.message)
        assert refusal.id is None or len(refusal.id) <= 64


@fuzz
@given(frames)
def test_decode_server(frame: str | bytes) -> None:
    try:
        decode_server(frame)
    except MessageError:
        return


@fuzz
@given(any_text | near_messages)
def test_strict_json(text: str) -> None:
    try:
        value = parse(text)
    except NotAcceptedError:
        return
    assert parse(json.dumps(value, allow_nan=False)) == value


@fuzz
@given(st.lists(frames, max_size=30))
def test_a_session_answers_whatever_it_is_told(told: list[str | bytes]) -> None:
    session = Session(
        connection_id="c",
        rights=FakeRights(),
        instance_id="i",
        heartbeat=HeartbeatMode.CLIENT,
        settings=SessionSettings(),
        now=0.0,
        wall=WALL,
    )
    session.joined(Join("a", None, since_invalid=False, history=0, id=None, spelling="a"))
    for frame in told:
        was_closed = session.closed
        decisions = session.receive(frame, 0.0, WALL)
        assert not (was_closed and decisions)


_position_like = st.from_regex(r"[a-z0-9~=,%+-]{0,12}-?[0-9]{0,22}", fullmatch=True)


@fuzz
@given(any_text | _position_like)
def test_parse_position(text: str) -> None:
    try:
        position = parse_position(text)
    except InvalidPositionError:
        return
    assert str(position) == text


_cursor_like = st.lists(
    st.sampled_from(
        ["a", "~me", "~all", "~", "=", "=", ",", "k3f9-1", "k3f9-2", "%C3%A9", "%", "%2F", "-", " "]
    ),
    max_size=20,
).map("".join)


@fuzz
@given(any_text | _cursor_like)
def test_parse_cursor(text: str) -> None:
    try:
        cursor = parse_cursor(text, user_channel="user:7")
    except InvalidPositionError:
        return
    assert format_cursor(cursor) == text


@fuzz
@given(any_text)
def test_is_valid_room(name: str) -> None:
    if is_valid_room(name):
        check_text(name)
        key = format_cursor({f"room:{name}": parse_position("k3f9-1")})
        assert list(parse_cursor(key, user_channel="user:7")) == [f"room:{name}"]


_stream_pieces = st.lists(
    any_bytes
    | st.sampled_from([b"data:x\n\n", b"id:", b"retry:", b"\n\n", b"\r", b"\0", b"\xef\xbb\xbf", b"x" * 70]),
    max_size=30,
)


@fuzz
@given(_stream_pieces)
def test_sse_parser(pieces: list[bytes]) -> None:
    parser = SSEParser(max_line_bytes=64, max_event_bytes=128)
    try:
        for piece in pieces:
            for event in parser.feed(piece):
                assert len(event.data.encode()) <= 3 * 128  # a bad byte becomes U+FFFD, three bytes
                assert "\n" not in event.event + event.id
                assert "\r" not in event.event + event.id
                assert "\0" not in event.id
    except SSELimitError:
        with pytest.raises(SSELimitError):
            parser.end()
    assert parser.retry_ms is None or parser.retry_ms >= 0
