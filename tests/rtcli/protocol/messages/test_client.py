from __future__ import annotations

import pytest

from rtcli.protocol.messages import encode
from rtcli.protocol.messages.client import (
    ChatData,
    ChatMessage,
    ClientMessage,
    JoinData,
    JoinRoom,
    LeaveRoom,
    Ping,
    Pong,
    Refresh,
    RefreshData,
    RoomData,
    Typing,
    TypingData,
)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Ping(), '{"type":"ping"}'),
        (Ping(id="p"), '{"type":"ping","id":"p"}'),
        (Pong(), '{"type":"pong"}'),
        (JoinRoom(JoinData("a")), '{"type":"join_room","data":{"room":"a"}}'),
        (
            JoinRoom(JoinData("a", "k3f9-42", 20), "j"),
            '{"type":"join_room","data":{"room":"a","since":"k3f9-42","history":20},"id":"j"}',
        ),
        (LeaveRoom(RoomData("a")), '{"type":"leave_room","data":{"room":"a"}}'),
        (
            ChatMessage(ChatData("general", "hi"), "c-7"),
            '{"type":"chat_message","data":{"room":"general","content":"hi"},"id":"c-7"}',
        ),
        (Typing(TypingData("a", is_typing=True)), '{"type":"typing","data":{"room":"a","is_typing":true}}'),
        (Refresh(RefreshData("t"), "r"), '{"type":"refresh","data":{"token":"t"},"id":"r"}'),
    ],
)
def test_on_the_wire(message: ClientMessage, text: str) -> None:
    assert encode(message).decode() == text


def test_tokens_are_not_printed() -> None:
    assert "secret" not in repr(Refresh(RefreshData("secret")))
