from __future__ import annotations

import pytest

from rtcli.protocol.messages import decode_server, encode
from rtcli.protocol.messages.server import (
    ServerMessage,
)
from tests.support.protocol.server_messages import CATALOGUE


@pytest.mark.parametrize(("message", "text"), CATALOGUE)
def test_on_the_wire_and_back(message: ServerMessage, text: str) -> None:
    assert encode(message).decode() == text
    assert decode_server(text) == message
    assert decode_server(text.encode()) == message


def test_the_catalogue_is_complete() -> None:
    kinds = {type(message) for message, _ in CATALOGUE}
    assert {kind.__name__ for kind in kinds} | {"Unknown"} == {
        kind.__name__ for kind in ServerMessage.__args__
    }
