"""Personal and broadcast events of a client: once and in order, or reported as missed, over connections."""

from __future__ import annotations

import pytest

from rtcli.client.conversation.state import ClientState
from rtcli.client.events import ClientEvent, ConnectionWarning, Direct, Event, Gap
from rtcli.protocol.messages import client as mine
from rtcli.protocol.messages import server as s
from rtcli.protocol.position import Position


def greet(state: ClientState, top: str, *, start: str = "", **answer: object) -> list[ClientEvent]:
    """A greeting with `top` for both channels; `answer`: of a resume, for both."""
    channels = {key: s.ChannelState(position=top, **answer) for key in ("~me", "~all")}  # type: ignore[arg-type]
    data = s.ConnectedData(
        connection_id="c", user_id=7, instance_id="i", heartbeat_s=30.0,
        cursor=f"~me={start or top},~all={start or top}", channels=channels,
    )  # fmt: skip
    return state.receive(s.Connected(data=data), 0.0)


def event(state: ClientState, offset: int, channel: str = "user:7", epoch: str = "aaaa") -> list[ClientEvent]:
    data = s.EventData(event="news", data={"n": offset}, channel=channel, offset=offset, epoch=epoch)
    return state.receive(s.Event(data=data), 0.0)


def delivered(offset: int, channel: str = "user:7", epoch: str = "aaaa") -> Event:
    return Event("news", {"n": offset}, channel, Position(epoch, offset))


@pytest.fixture
def state() -> ClientState:
    """A client that was greeted at 2 in both channels."""
    state = ClientState(id_prefix="me")
    greet(state, "aaaa-2")
    return state


def test_the_cursor_follows_the_greeting_each_event_and_each_message(state: ClientState) -> None:
    assert state.cursor == "~me=aaaa-2,~all=aaaa-2"
    assert event(state, 3) == [delivered(3)]
    assert event(state, 3, "all") == [delivered(3, "all")]
    state.join("a b")
    joined = s.RoomJoinedData(room="a b", position="aaaa-9", replayed=0, members=(), member_count=1)
    state.receive(s.RoomJoined(data=joined), 0.0)
    assert state.cursor == "~me=aaaa-3,~all=aaaa-3,a%20b=aaaa-9"
    assert state.events_cursor == "~me=aaaa-3,~all=aaaa-3"


def test_a_repeat_is_left_out_and_a_hole_is_said(state: ClientState) -> None:
    event(state, 3)
    (warning,) = event(state, 3)
    assert isinstance(warning, ConnectionWarning)
    assert event(state, 6) == [Gap("~me", 2, "not_sent"), delivered(6)]


def test_a_gap_is_said_and_left_behind(state: ClientState) -> None:
    gap = s.GapData(room="~all", from_="aaaa-2", to="aaaa-9", lost=7, reason="trimmed")
    assert state.receive(s.Gap(data=gap), 0.0) == [Gap("~all", 7, "trimmed")]
    assert event(state, 10, "all") == [delivered(10, "all")]
    other = s.GapData(room="not joined", from_="aaaa-2", to="aaaa-9", lost=7, reason="trimmed")
    assert state.receive(s.Gap(data=other), 0.0) == []


def test_a_resume_goes_on_after_the_latest_delivered(state: ClientState) -> None:
    event(state, 3)
    state.lost(0.0)
    (back,) = greet(state, "aaaa-5", start="aaaa-3", recovered=True)
    assert getattr(back, "caught_up", None) == 2 + 3  # of the user's channel, and of the other
    assert event(state, 4) == [delivered(4)]
    assert event(state, 3, "all") == [delivered(3, "all")]


@pytest.mark.parametrize(("top", "lost"), [("aaaa-400", 398), ("bbbb-1", None)])
def test_what_cannot_be_resumed_is_said(state: ClientState, top: str, lost: int | None) -> None:
    state.lost(0.0)
    told = greet(state, top, recovered=False, reason="too_many")
    assert told[1:] == [Gap("~me", lost, "too_many"), Gap("~all", lost, "too_many")]
    epoch, _, offset = top.partition("-")
    assert event(state, int(offset) + 1, epoch=epoch) == [delivered(int(offset) + 1, epoch=epoch)]


def test_a_cursor_of_another_client_is_where_rooms_and_events_go_on() -> None:
    state = ClientState(id_prefix="me", cursor="general=aaaa-4,~me=aaaa-2")
    assert state.events_cursor == "~me=aaaa-2"
    state.join("general")
    greet(state, "aaaa-3", start="aaaa-2", recovered=True)
    (join,) = state.take_outgoing()
    assert getattr(join.data, "since", None) == "aaaa-4"
    assert event(state, 3) == [delivered(3)]
    lost = s.RoomJoinedData(
        room="general", position="aaaa-9", replayed=0, recovered=False, reason="too_many",
        members=(), member_count=1,
    )  # fmt: skip
    assert state.receive(s.RoomJoined(data=lost), 0.0)[-1] == Gap("general", 5, "too_many")


@pytest.mark.parametrize("cursor", ["~me", "~me=x", "~other=aaaa-1"])
def test_a_greeting_that_makes_no_sense_is_survived(cursor: str) -> None:
    state = ClientState(id_prefix="me")
    channels = {"~me": s.ChannelState(position="nowhere"), "~you": s.ChannelState(position="aaaa-1")}
    data = s.ConnectedData(
        connection_id="c", user_id=7, instance_id="i", heartbeat_s=30.0, cursor=cursor, channels=channels
    )
    state.receive(s.Connected(data=data), 0.0)
    assert state.events_cursor == ""
    assert event(state, 1) == [delivered(1)]


def test_an_event_for_this_connection_alone_moves_nothing(state: ClientState) -> None:
    cursor = state.cursor
    told = s.Direct(data=s.DirectData(event="order.paid", data={"n": 1}))
    assert state.receive(told, 0.0) == [Direct("order.paid", {"n": 1})]
    assert state.cursor == cursor
    assert event(state, 3) == [delivered(3)]


def skipped(state: ClientState, room: str, offset: int) -> list[ClientEvent]:
    return state.receive(s.Skipped(data=s.SkippedData(room=room, offset=offset, epoch="aaaa")), 0.0)


@pytest.mark.parametrize("channel", ["~me", "~all"])
def test_an_event_that_is_not_for_us_is_no_hole(state: ClientState, channel: str) -> None:
    name = "all" if channel == "~all" else "user:7"
    assert event(state, 3, name) == [delivered(3, name)]
    assert skipped(state, channel, 4) == []
    assert f"{channel}=aaaa-4" in state.cursor
    assert skipped(state, channel, 3) == []  # again: it does not go back
    assert event(state, 5, name) == [delivered(5, name)]
    assert skipped(state, channel, 8) == [Gap(channel, 2, "not_sent")]
    assert event(state, 9, name) == [delivered(9, name)]
    assert skipped(state, "~you", 9) == []


def test_a_message_that_is_not_for_us_is_no_hole(state: ClientState) -> None:
    state.join("a")
    joined = s.RoomJoinedData(room="a", position="aaaa-4", replayed=2, members=(), member_count=1)
    state.receive(s.RoomJoined(data=joined), 0.0)
    text = state.send("a", "waits for the replay")
    state.take_outgoing()
    assert skipped(state, "a", 3) == []
    assert state.take_outgoing() == []
    assert skipped(state, "a", 4) == []  # the replay ends with it
    [sent] = state.take_outgoing()
    assert isinstance(sent, mine.ChatMessage)
    assert sent.id == text
    assert state.position("a") == Position("aaaa", 4)
    assert skipped(state, "a", 2) == []
    assert skipped(state, "b", 9) == []  # a room that we are not in
    assert skipped(state, "a", 6) == [Gap("a", 1, "not_sent")]
    state.lost(0.0)
    greet(state, "aaaa-2", recovered=True)
    [join] = state.take_outgoing()
    assert isinstance(join, mine.JoinRoom)
    assert join.data.since == "aaaa-6"
