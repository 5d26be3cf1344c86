from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.protocol.messages import (
    Event,
    EventData,
    NewMessage,
    NewMessageData,
    decode_server,
)
from rtcli.protocol.position import MAX_OFFSET, Position, parse_cursor
from rtcli.protocol.publication import (
    RESERVED_EVENTS,
    Publication,
    chat_data,
    idempotency_key,
    is_valid_event_name,
    sse_parts,
    ws_message,
)
from rtcli.protocol.sse import SSEParser
from tests.support.protocol.strategies import contents, ids, json_values, rooms, texts

T_MS = 1_777_627_800_250
T = "2026-05-01T09:30:00.250Z"
HI = Publication(
    channel="room:général",
    epoch="k3f9",
    offset=42,
    event="new_message",
    data=chat_data(room="général", content="hi", sender_id=7, sender_name="A", timestamp=T, id="c-7"),
    time_ms=T_MS,
)
NOTE = Publication("user:7", "k3f9", 3, "note", b'{"x":1}', T_MS)


def test_a_rooms_message_on_the_wire() -> None:
    data = (
        f'{{"room":"général","content":"hi","sender_id":7,"sender_name":"A","timestamp":"{T}","id":"c-7",'
        '"offset":42,"epoch":"k3f9"}'
    )
    assert ws_message(HI).decode() == f'{{"type":"new_message","data":{data},"timestamp":"{T}"}}'
    head, tail = sse_parts(HI)
    assert head == b"id: g%C3%A9n%C3%A9ral=k3f9-42"
    assert tail.decode() == f"\nevent: new_message\ndata: {data}\n\n"


def test_an_event_on_the_wire() -> None:
    assert ws_message(NOTE).decode() == (
        '{"type":"event","data":{"event":"note","data":{"x":1},"channel":"user:7","offset":3,"epoch":"k3f9"},'
        f'"timestamp":"{T}"}}'
    )
    assert sse_parts(NOTE) == (b"id: ~me=k3f9-3", b'\nevent: note\ndata: {"x":1}\n\n')
    to_all = Publication("all", "k3f9", 4, "note", b"{}", T_MS)
    assert sse_parts(to_all)[0] == b"id: ~all=k3f9-4"


def test_an_empty_object_takes_a_position_too() -> None:
    empty = Publication("room:a", "k3f9", 1, "new_message", b"{}", T_MS)
    assert json.loads(ws_message(empty))["data"] == {"offset": 1, "epoch": "k3f9"}


sent = st.builds(
    NewMessageData,
    room=rooms,
    content=contents,
    sender_id=st.integers(-(2**53), 2**53) | texts,
    sender_name=texts,
    timestamp=st.just(T),
    offset=st.integers(0, MAX_OFFSET),
    epoch=st.from_regex("[a-z0-9]{4,16}", fullmatch=True),
    id=ids,
)


@given(sent)
def test_both_transports_say_the_same(expected: NewMessageData) -> None:
    data = chat_data(
        room=expected.room,
        content=expected.content,
        sender_id=expected.sender_id,
        sender_name=expected.sender_name,
        timestamp=T,
        id=expected.id,
    )
    position = Position(expected.epoch, expected.offset)
    channel = f"room:{expected.room}"
    publication = Publication(channel, *position, "new_message", data, T_MS)
    text = ws_message(publication)
    assert decode_server(text) == NewMessage(data=expected, timestamp=T)

    head, tail = sse_parts(publication)
    (event,) = SSEParser().feed(head + b",~me=k3f9-7,~all=k3f9-12" + tail)
    assert event.event == "new_message"
    assert json.loads(event.data) == json.loads(text)["data"]
    assert parse_cursor(event.id, user_channel="user:7") == {
        channel: position,
        "user:7": Position("k3f9", 7),
        "all": Position("k3f9", 12),
    }


@given(st.dictionaries(texts, json_values, max_size=4), st.sampled_from([None, 1]), st.booleans())
def test_any_json_of_a_publisher_arrives(
    value: dict[str, object], indent: int | None, ascii_only: bool
) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    publication = Publication("all", "k3f9", MAX_OFFSET, "note", data, T_MS)
    message = decode_server(ws_message(publication))
    assert message == Event(
        data=EventData(event="note", data=value, channel="all", offset=MAX_OFFSET, epoch="k3f9"), timestamp=T
    )
    (event,) = SSEParser().feed(b"".join(sse_parts(publication)))
    assert (event.event, json.loads(event.data), event.id) == ("note", value, f"~all=k3f9-{MAX_OFFSET}")


def test_line_ends_between_tokens_make_no_fields() -> None:
    data = b'{\r\n"a":\n1,\r"event: x":2}'
    (event,) = SSEParser().feed(b"".join(sse_parts(Publication("all", "k3f9", 1, "note", data, T_MS))))
    assert (event.event, json.loads(event.data)) == ("note", {"a": 1, "event: x": 2})


def test_its_position() -> None:
    assert HI.position == Position("k3f9", 42)


@given(st.tuples(texts, texts), st.tuples(texts, texts))
def test_two_users_never_share_an_idempotency_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (idempotency_key(*one) == idempotency_key(*other)) is (one == other)
    assert idempotency_key("a", "b:c") != idempotency_key("a:b", "c")


@pytest.mark.parametrize("name", ["note", "order.paid", "a", "message", "x" * 64, "A_b:c/d-9", "_"])
def test_event_names(name: str) -> None:
    assert is_valid_event_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "x" * 65, "a b", "a\nb", "a\r", "a\0", "é", ".a", "-a", ":", " a", "a\n", *sorted(RESERVED_EVENTS)],
)
def test_no_event_names(name: str) -> None:
    assert not is_valid_event_name(name)
