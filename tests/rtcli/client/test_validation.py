from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.client.validation import check_room, problem_with
from rtcli.errors import CliError, Exit
from rtcli.protocol.messages import decode_client, encode
from rtcli.protocol.messages.client import ChatData, ChatMessage


@pytest.mark.parametrize("text", ["", "x" * 16_385, "a\0", "\ud800", "\x01" * 16_000, "\U0001f389" * 16_384])
def test_texts_that_no_server_takes(text: str) -> None:
    assert problem_with("general", text) is not None


@given(st.text(min_size=1, max_size=50))
def test_all_others_are_taken(text: str) -> None:
    if problem_with("general", text) is None:
        message = ChatMessage(ChatData("general", text), id="c-1")
        assert decode_client(encode(message)) == message


@pytest.mark.parametrize("name", ["", "a  b", " a", "a~b", "a?", "a\n", "x" * 129])
def test_a_name_that_no_room_can_have(name: str) -> None:
    with pytest.raises(CliError) as caught:
        check_room(name)
    assert caught.value.exit_code == Exit.USAGE
    assert check_room("general") == "general"


def test_a_name_is_given_in_nfc() -> None:
    assert check_room("Cafe\u0301, 100 % # 1 = x") == "Café, 100 % # 1 = x"
