from __future__ import annotations

import json

import pytest
from hypothesis import given

from rtcli.protocol import messages
from rtcli.protocol.codes import ErrorCode
from rtcli.protocol.messages import (
    Connected,
    Error,
    MessageError,
    NewMessage,
    ServerPong,
    Unknown,
    decode_server,
    encode,
)
from tests.support.protocol.server_messages import CATALOGUE
from tests.support.protocol.strategies import json_values


def test_everything_promised_is_here() -> None:
    assert all(hasattr(messages, name) for name in messages.__all__)


@pytest.mark.parametrize(
    "text", ['{"type":"brand_new","data":{"x":1},"y":2}', '{"type":"chat_message","data":{"x":1}}']
)
def test_an_unknown_type_is_for_the_client_to_ignore(text: str) -> None:
    assert decode_server(text) == Unknown(json.loads(text)["type"], {"x": 1})


def test_an_unknown_type_may_have_any_data_or_none() -> None:
    assert decode_server('{"type":""}') == Unknown("")
    assert decode_server('{"type":"x","data":[[1]]}') == Unknown("x", [[1]])


@given(json_values)
def test_keys_of_a_later_version_do_not_matter(extra: object) -> None:
    for message, text in CATALOGUE:
        fields = json.loads(text)
        fields["a_later_key"] = extra
        if isinstance(fields.get("data"), dict):
            fields["data"]["a_later_key"] = extra
        assert decode_server(json.dumps(fields)) == message


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "{", "null", "[]", "5", "{}", '{"data":{}}', '{"type":5}', '{"type":null}', "\ufeff{}",
        '{"type":"new_message"}', '{"type":"new_message","data":{}}', '{"type":"ack","data":[]}',
        '{"type":"pong","data":{"connection_id":5}}', '{"type":"pong","data":{"connection_id":"c"}}',
        '{"type":"pong","data":[]}', '{"type":"error","data":{"code":5,"message":"x"}}',
        '{"type":"error","data":{"code":"x","message":"x"},"id":5}', '{"type":"x","data":NaN}',
        '{"type":"x"}x',
        '{"type":"x","data":' + "[" * 100_000, '{"type":"ping","x":' + "[" * 100_000,
        '{"type":"x","data":"\\ud800"}',
        '"\ud800"', b"\xff", b'{"type":"\xff"}',
        ('{"type":"new_message","data":{"room":"a","content":"\\ud800","sender_id":1,"sender_name":"a",'
        '"timestamp":"t","offset":1,"epoch":"e"}}'),
    ],
)  # fmt: skip
def test_no_message(text: str | bytes) -> None:
    with pytest.raises(MessageError) as caught:
        decode_server(text)
    assert caught.value.code is ErrorCode.INVALID_MESSAGE


def test_both_kinds_of_pong() -> None:
    assert decode_server('{"type":"pong"}') == ServerPong()
    assert decode_server('{"type":"pong","data":{"x":1}}') == ServerPong()
    first = decode_server(
        '{"type":"pong","data":{"message":"Connected","connection_id":"c","user_id":"u","instance_id":"i",'
        '"heartbeat_s":30,"protocol":2}}'
    )
    assert isinstance(first, Connected)
    assert (first.data.heartbeat_s, first.data.protocol, first.data.token_expires_at) == (30.0, 2, None)


def test_error_codes_of_a_later_version_are_text() -> None:
    message = decode_server('{"type":"error","data":{"code":"brand_new","message":"m"}}')
    assert isinstance(message, Error)
    assert message.data.code == "brand_new"


def test_data_alone_can_be_encoded() -> None:
    for message, text in CATALOGUE:
        if isinstance(message, NewMessage):
            assert json.loads(encode(message.data)) == json.loads(text)["data"]


def test_surrogates_are_never_written() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode(ServerPong(id="\ud800"))
