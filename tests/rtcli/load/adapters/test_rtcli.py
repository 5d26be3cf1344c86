"""Our own protocol, over both transports: what moves a position without being a delivery."""

from __future__ import annotations

import pytest

from rtcli.load.adapters.interface import OTHER, ChannelEvent
from rtcli.load.adapters.rtcli_sse import RtcliSse
from rtcli.load.adapters.rtcli_ws import RtcliWs
from rtcli.protocol.messages import Direct, DirectData, Skipped, SkippedData, encode
from rtcli.protocol.position import Position


@pytest.mark.parametrize("channel", ["~me", "~all"])
def test_an_event_that_is_not_for_a_user_has_its_place(channel: str) -> None:
    data = SkippedData(room=channel, offset=3, epoch="aaaa")
    expected = ChannelEvent(channel, Position("aaaa", 3))
    assert RtcliWs().parse(encode(Skipped(data=data))) == expected
    assert RtcliSse().parse("skipped", encode(data).decode(), f"{channel}=aaaa-3,general=aaaa-9") == [
        expected
    ]


def test_a_message_that_is_not_for_a_user_is_no_delivery_and_no_gap() -> None:
    data = SkippedData(room="general", offset=3, epoch="aaaa")
    assert RtcliWs().parse(encode(Skipped(data=data))) == OTHER
    assert RtcliSse().parse("skipped", encode(data).decode(), "general=aaaa-3,~me=aaaa-9") == []


def test_an_event_for_one_connection_has_no_place() -> None:
    data = DirectData(event="order.paid", data={"n": 1})
    assert RtcliWs().parse(encode(Direct(data=data))) == OTHER
    assert RtcliSse().parse("direct", encode(data).decode(), "~me=aaaa-3") == []
