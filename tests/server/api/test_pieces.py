"""Answers in pieces: a length where there is one piece, no more than a few in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtcli_server.api.pieces import PiecesResponse


class Client:
    """An ASGI server that keeps what it is sent; `made` is the number of pieces made by then."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.made = 0
        self.ahead: list[int] = []
        self.messages: list[Any] = []

    async def make(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.made += 1
            yield piece

    async def send(self, message: Any) -> None:  # noqa: ANN401 - ASGI
        self.messages.append(message)
        self.ahead.append(self.made - sum(1 for sent in self.messages if sent.get("body")))

    async def receive(self) -> Any:  # noqa: ANN401 - ASGI
        raise AssertionError("it has nothing to receive")

    async def run(self) -> dict[bytes, bytes]:
        await PiecesResponse(self.make())({"type": "http"}, self.receive, self.send)
        assert [message["type"] for message in self.messages[1:]] == ["http.response.body"] * len(self.pieces)
        assert b"".join(message["body"] for message in self.messages[1:]) == b"".join(self.pieces)
        assert [message["more_body"] for message in self.messages[1:]][-1] is False
        return dict(self.messages[0]["headers"])


async def test_one_piece_has_a_length() -> None:
    headers = await Client(b'{"a":1}').run()
    assert headers == {b"content-type": b"application/json", b"content-length": b"7"}


@pytest.mark.parametrize("count", [2, 3, 50])
async def test_several_pieces_have_none_and_are_made_as_they_are_sent(count: int) -> None:
    client = Client(*(b"%d" % number for number in range(count)))
    assert await client.run() == {b"content-type": b"application/json"}
    assert max(client.ahead) <= 2
