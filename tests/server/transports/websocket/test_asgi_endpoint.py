"""The portable transport's budget: in bytes, as on the wire."""

from __future__ import annotations

import pytest

from rtcli_server.transports.websocket.asgi_endpoint import _FRAME_BYTES, Close, bytes_of


@pytest.mark.parametrize("text", ["", "hello", "héllo", "日本語", "😀", "😀 and more"])
def test_what_waits_is_counted_in_bytes(text: str) -> None:
    assert bytes_of(text) - _FRAME_BYTES == len(text.encode())
    assert bytes_of(Close(1000, text)) - _FRAME_BYTES == len(text.encode())
