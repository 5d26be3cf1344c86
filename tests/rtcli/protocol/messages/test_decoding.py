"""The door. The rows J1-J13 are those of the bad-input table, with the answers that the protocol gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.protocol.codes import ErrorCode
from rtcli.protocol.messages import decoding, encode
from rtcli.protocol.messages.client import (
    ChatData,
    ChatMessage,
    ClientMessage,
    JoinData,
    JoinRoom,
    Ping,
    Pong,
)
from rtcli.protocol.messages.decoding import MessageError, decode_client
from tests.support.protocol.client_messages import messages
from tests.support.protocol.strategies import json_values, texts

BAD = ErrorCode.INVALID_MESSAGE


def refusal(text: str | bytes) -> MessageError:
    with pytest.raises(MessageError) as caught:
        decode_client(text)
    return caught.value


def message(type_: object, id_: object = None, **data: object) -> str:
    return json.dumps({"type": type_, "data": data, "id": id_})


def chat(content: str, *, room: str = "a", extra: str = "") -> str:
    """A message whose parts are JSON text already."""
    return f'{{"type":"chat_message","data":{{"room":"{room}","content":{content}}}{extra}}}'


# -- what is taken -----------------------------------------------------------------------------------------


@given(messages)
def test_every_message_survives_its_text(original: ClientMessage) -> None:
    text = encode(original)
    for form in (text, text.decode(), bytearray(text), memoryview(text)):
        assert decode_client(form) == original


@given(messages, st.dictionaries(texts, json_values, max_size=3), st.booleans())
def test_unknown_keys_and_the_writer_do_not_matter(
    original: ClientMessage, extra: dict[str, Any], ascii_only: bool
) -> None:
    fields = json.loads(encode(original))
    fields["data"] = {**{f"x{k}": v for k, v in extra.items()}, **fields.get("data", {})}
    text = json.dumps({**{f"x{k}": v for k, v in extra.items()}, **fields}, ensure_ascii=ascii_only, indent=1)
    assert decode_client(text) == original


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"type":"ping"}', Ping()),
        ('{"type":"ping","data":{}}', Ping()),
        ('{"type":"ping","data":{"x":1},"timestamp":5}', Ping()),
        (' {"id" : "a" , "type" : "pong" }\n', Pong(id="a")),
        ('{"type":"ping","id":null}', Ping()),
        ('{"type":"ping","id":""}', Ping(id="")),
        ('{"typ\\u0065":"ping"}', Ping()),
        ('{"type":"join_room","data":{"room":"a"}}', JoinRoom(JoinData("a"))),
        ('{"type":"join_room","data":{"room":"a","since":null}}', JoinRoom(JoinData("a"))),
        ('{"type":"join_room","data":{"room":"a","history":500}}', JoinRoom(JoinData("a", None, 500))),
        ('{"type":"join_room","data":{"room":"a","history":-0}}', JoinRoom(JoinData("a"))),
        (message("ping", "i" * 64), Ping(id="i" * 64)),
        (message("ping", "é" * 64), Ping(id="é" * 64)),
        (chat('"x"'), ChatMessage(ChatData("a", "x"))),
        (chat(json.dumps("é" * 16_384)), ChatMessage(ChatData("a", "é" * 16_384))),
        (chat(json.dumps("🎉" * 16_384, ensure_ascii=False)), ChatMessage(ChatData("a", "🎉" * 16_384))),
    ],
)
def test_takes(text: str, expected: ClientMessage) -> None:
    assert decode_client(text) == expected
    assert decode_client(text.encode()) == expected


def test_the_token_is_not_printed() -> None:
    assert "secret" not in repr(decode_client(message("refresh", token="secret")))


# -- J1: what is no JSON -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "x", "{", "{}x", '\ufeff{"type":"ping"}', '{"type":"ping"}x',
        '{"type":"ping"}{"type":"ping"}',
        '/**/{"type":"ping"}', "{'type':'ping'}", '{"type":"ping",}', "{type:1}", '{"type":"pi\nng"}',
        chat('"a\x00b"'), chat('"a\x1bb"'), chat('"a\nb"'), chat('"\\x41"'), chat('"\\u12"'), chat('"a'),
    ],
)  # fmt: skip
def test_j1_no_json(text: str) -> None:
    error = refusal(text)
    assert (error.code, error.message, error.id) == (BAD, "Invalid message format", None)


# -- J2: JSON, and no message ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["null", "true", "1", '"s"', "[]", "{}", '{"type":null}', '{"type":5}', '{"type":[]}', '{"type":{}}',
     '{"type":true}', '{"data":{}}', '{"type":"ping","data":null}', '{"type":"ping","data":5}',
     '{"type":"ping","data":[]}', '{"type":"ping","data":"x"}'],
)  # fmt: skip
def test_j2_no_message(text: str) -> None:
    assert refusal(text).code is BAD


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", ""),
        ("X", "X"),
        ("__class__", "__class__"),
        ("Ping", "Ping"),
        ("new_message", "new_message"),
        ("x" * 64, "x" * 64),
        ("x" * 10_000, "x" * 64 + "…"),
        ("a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("\u202egnp", "\\u202egnp"),
        ("{0}", "{0}"),
        ("é 🎉", "é 🎉"),
    ],
)
def test_j2_unknown_type(name: str, shown: str) -> None:
    error = refusal(message(name, "c-1"))
    assert error.code is ErrorCode.UNKNOWN_TYPE
    assert error.message == f"Unknown message type: {shown}"
    assert error.id == "c-1"


# -- J3: numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1E400", "9" * 5_000, "01", "-"])
@pytest.mark.parametrize(
    "text",
    [
        '{{"type":"ping","x":{}}}',
        '{{"type":"ping","data":{{"x":[{}]}}}}',
        '{{"type":"join_room","data":{{"room":"a","history":{}}}}}',
    ],
)
def test_j3_no_numbers(number: str, text: str) -> None:
    assert refusal(text.format(number)).code is BAD


@pytest.mark.parametrize(
    "number", ["-1", "501", "1.5", "10.0", "1e2", "9007199254740993", "true", '"5"', "null", "[]"]
)
def test_j3_no_history(number: str) -> None:
    text = f'{{"type":"join_room","data":{{"room":"a","history":{number}}},"id":"j"}}'
    error = refusal(text)
    assert (error.code, error.id) == (BAD, "j")


# -- J4: shape ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [17, 1_000, 100_000])
@pytest.mark.parametrize("where", ['{{"type":"ping","x":{}}}', '{{"type":"ping","data":{{"x":{}}}}}', "{}"])
def test_j4_too_deep(depth: int, where: str) -> None:
    assert refusal(where.format("[" * depth + "]" * depth)).code is BAD
    assert refusal(where.format("[" * depth)).code is BAD


def test_j4_sixteen_levels_in_all() -> None:
    assert decode_client('{"type":"ping","x":' + "[" * 15 + "]" * 15 + "}") == Ping()
    assert refusal('{"type":"ping","x":' + "[" * 16 + "]" * 16 + "}").code is BAD
    assert decode_client('{"type":"ping","data":{"x":' + "[" * 14 + "]" * 14 + "}}") == Ping()
    assert refusal('{"type":"ping","data":{"x":' + "[" * 15 + "]" * 15 + "}}").code is BAD


def test_j4_many_keys() -> None:
    text = json.dumps({"type": "ping", **{f"k{i}": i for i in range(10_000)}})
    assert decode_client(text) == Ping()


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"ping","type":"ping"}',
        '{"type":"ping","data":{},"data":{}}',
        '{"type":"ping","x":1,"x":2}',
        '{"type":"ping","id":"a","id":"a"}',
        '{"type":"ping","id":"a","id":null}',
        '{"type":"ping","id":null,"id":null}',
        '{"type":"chat_message","data":{"room":"a","content":"x","content":"y"}}',
        '{"type":"chat_message","data":{"room":"a","room":"b","content":"x"}}',
        '{"type":"chat_message","data":{"room":"a","content":"\\"\\"","content":"y"}}',
        '{"type":"chat_message","data":{"room":"a","content":"x"},"data":{"room":"b","content":"y"}}',
        '{"type":"typing","data":{"room":"a","is_typing":true,"is_typing":false}}',
        '{"type":"leave_room","data":{"room":"a","room":"a"}}',
    ],
)
def test_j4_a_name_twice(text: str) -> None:
    assert refusal(text).code is BAD


# -- J5: characters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "escaped", ["\\ud800", "\\udfff", "\\udc00\\ud800", "\\ud800x", "\\u0000", "a\\u0000"]
)
@pytest.mark.parametrize(
    "text",
    [
        '{{"type":"chat_message","data":{{"room":"a","content":"{}"}}}}',
        '{{"type":"chat_message","data":{{"room":"{}","content":"x"}}}}',
        '{{"type":"chat_message","data":{{"room":"a","content":"x"}},"id":"{}"}}',
        '{{"type":"chat_message","data":{{"room":"a","content":"x","y":"{}"}}}}',
        '{{"type":"ping","x":[["{}"]]}}',
        '{{"type":"ping","{}":1}}',
        '{{"type":"{}"}}',
    ],
)
def test_j5_refused_characters(escaped: str, text: str) -> None:
    error = refusal(text.format(escaped))
    assert (error.code, error.id) == (BAD, None)


def test_j5_a_surrogate_in_a_python_string() -> None:
    assert refusal(chat('"\ud800"')).code is BAD


@pytest.mark.parametrize("raw", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"])
def test_j5_bytes_that_are_no_utf8(raw: bytes) -> None:
    assert refusal(b'{"type":"ping","x":"' + raw + b'"}').code is BAD


@pytest.mark.parametrize(
    "content",
    [
        "\u202e",
        "e" + "\u0301" * 10_000,
        "\ufffe",
        "🎉",
        "\x7f",
        "\x1b[31m",
        "\\",
        '"',
        "\u2028",
        "a\u0000"[:1],
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_j5_everything_else_is_kept_exactly(content: str, ascii_only: bool) -> None:
    text = json.dumps(
        {"type": "chat_message", "data": {"room": "a", "content": content}}, ensure_ascii=ascii_only
    )
    assert decode_client(text) == ChatMessage(ChatData("a", content))


# -- J6, J8: rooms and contents ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("join_room", {}),
        ("leave_room", {}),
        ("chat_message", {"content": "x"}),
        ("typing", {"is_typing": True}),
    ],
)
@pytest.mark.parametrize(
    ("room", "code"),
    [
        ({}, ErrorCode.ROOM_REQUIRED),
        ({"room": None}, ErrorCode.ROOM_REQUIRED),
        ({"room": ""}, ErrorCode.ROOM_REQUIRED),
        ({"room": 5}, ErrorCode.INVALID_ROOM),
        ({"room": ["a"]}, ErrorCode.INVALID_ROOM),
        ({"room": {}}, ErrorCode.INVALID_ROOM),
        ({"room": True}, ErrorCode.INVALID_ROOM),
    ],
)
def test_j6_rooms(type_: str, data: dict[str, object], room: dict[str, object], code: ErrorCode) -> None:
    error = refusal(message(type_, "r", **data, **room))
    assert (error.code, error.id) == (code, "r")


def test_j6_without_data_the_room_is_missing() -> None:
    assert refusal('{"type":"join_room"}').message == "Room is required"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({}, BAD),
        ({"content": None}, BAD),
        ({"content": 5}, BAD),
        ({"content": {"a": 1}}, BAD),
        ({"content": ["a"]}, BAD),
        ({"content": ""}, ErrorCode.TOO_LONG),
        ({"content": "x" * 16_385}, ErrorCode.TOO_LONG),
        ({"content": "🎉" * 16_385}, ErrorCode.TOO_LONG),
    ],
)
def test_j8_contents(data: dict[str, object], code: ErrorCode) -> None:
    error = refusal(message("chat_message", "c", room="a", **data))
    assert (error.code, error.id) == (code, "c")


@pytest.mark.parametrize(
    "content", ["   ", "<script>alert(1)</script>", "\x1b]52;c;\x07", "{{7*7}}", "🎉" * 16_384]
)
def test_j8_whatever_a_content_says_is_only_text(content: str) -> None:
    expected = ChatMessage(ChatData("a", content))
    assert decode_client(json.dumps(msgspec.to_builtins(expected), ensure_ascii=False)) == expected


@pytest.mark.parametrize("is_typing", [None, 1, 0, "true", [], {}])
def test_typing_is_yes_or_no(is_typing: object) -> None:
    assert refusal(message("typing", room="a", is_typing=is_typing)).code is BAD
    assert refusal(message("typing", room="a")).code is BAD


@pytest.mark.parametrize("data", [{}, {"token": None}, {"token": 5}, {"token": ["x"]}])
def test_a_refresh_needs_a_token(data: dict[str, object]) -> None:
    assert refusal(message("refresh", **data)).code is BAD


# -- J9, J12: ids and what only the server says ------------------------------------------------------------


def test_j9_what_only_the_server_says_is_not_listened_to() -> None:
    text = message(
        "chat_message", room="a", content="x", sender_id=1, timestamp="t", offset=9, epoch="k3f9", user="b"
    )
    assert decode_client(text) == ChatMessage(ChatData("a", "x"))


@pytest.mark.parametrize("id_", [5, 1.5, True, [], {}, ["a"], "i" * 65, "🎉" * 65, "x" * 10_000])
@pytest.mark.parametrize("type_", ["ping", "chat_message", "join_room"])
def test_j12_ids(id_: object, type_: str) -> None:
    error = refusal(message(type_, id_, room="a", content="x"))
    assert (error.code, error.id) == (BAD, None)


def test_an_id_comes_back_whenever_it_could_be_read() -> None:
    for text in (
        '{"id":"a"}',
        '{"id":"a","type":5}',
        '{"id":"a","type":"nope"}',
        '{"id":"a","type":"ping","data":5}',
        '{"id":"a","type":"chat_message","data":{}}',
        '{"id":"a","type":"refresh"}',
    ):
        assert refusal(text).id == "a"


# -- J13: where to go on -----------------------------------------------------------------------------------


@pytest.mark.parametrize("since", ["garbage", "", "k3f9-42", "other-1", "k3f9--1", "x" * 1_000])
def test_j13_since_is_text_to_be_judged_later(since: str) -> None:
    assert decode_client(message("join_room", room="a", since=since)) == JoinRoom(JoinData("a", since))


@pytest.mark.parametrize("since", [5, -1, 10**30, 1.5, True, False, 0, [], {}, ["k3f9-42"]])
def test_j13_since_that_is_no_text_is_no_position(since: object) -> None:
    assert decode_client(message("join_room", room="a", since=since)) == JoinRoom(JoinData("a", ""))


# -- the two ways ------------------------------------------------------------------------------------------

_pieces = st.sampled_from(
    ['"', "\\", "\\u0000", "\\ud800", '\\"', "\\\\", "{", "}", "[", "]", ",", ":", '"type"', '"ping"',
     '"data"', '"id"',
     '"room"', '"content"', '"chat_message"', '"typing"', '"is_typing"', "true", "null", "1", "NaN", "x",
     " ", "\n"]
)  # fmt: skip


def outcome(decode: Callable[[str], object], text: str) -> object:
    try:
        return decode(text)
    except MessageError as error:
        return (error.code, error.message, error.id)


@given(
    st.one_of(
        st.lists(_pieces, max_size=40).map("".join),
        st.builds(
            lambda text, cut, piece: text[: cut % (len(text) + 1)] + piece + text[cut % (len(text) + 1) :],
            messages.map(lambda m: encode(m).decode()),
            st.integers(0, 10_000),
            st.lists(_pieces, max_size=8).map("".join),
        ),
    )
)
def test_the_fast_way_never_says_anything_else_than_the_thorough_way(text: str) -> None:
    assert outcome(decode_client, text) == outcome(decoding._decode_thoroughly, text)


def test_common_messages_go_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(decoding, "_decode_thoroughly")
    for text in (
        '{"type":"chat_message","data":{"room":"a","content":"hi"},"id":"c-7"}',
        '{"type": "chat_message", "data": {"room": "a", "content": "say \\"hi\\"\\n\\\\"}}',
        '{"data":{"content":"é🎉","room":"a"},"type":"chat_message"}',
        '{"type":"ping"}',
        '{"type":"pong","id":"x"}',
        '{"type":"typing","data":{"room":"a","is_typing":true}}',
        '{"type":"leave_room","data":{"room":"a"}}',
    ):
        decode_client(text)
