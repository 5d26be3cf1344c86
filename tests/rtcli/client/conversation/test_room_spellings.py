"""A client sends the NFC of a room's name, whichever spelling it is asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.client.conversation.state import ClientState
from rtcli.protocol.messages import client as c
from rtcli.protocol.messages import server as s
from tests.support.protocol.room_names import room_names, spellings

ToRoom = c.JoinRoom | c.LeaveRoom | c.ChatMessage | c.Typing


def rooms_of(sent: list[c.ClientMessage]) -> set[str]:
    return {message.data.room for message in sent if isinstance(message, ToRoom)}


@given(room_names.flatmap(lambda name: st.tuples(st.just(name), *[spellings(name)] * 4)))
def test_whatever_is_asked_for(names: tuple[str, str, str, str, str]) -> None:
    name, joins, says, types, leaves = names
    state = ClientState(id_prefix="me")
    state.join(joins)
    hello = s.ConnectedData(connection_id="c", user_id="me", instance_id="i", heartbeat_s=30.0)
    state.receive(s.Connected(data=hello), 0.0)
    data = s.RoomJoinedData(room=name, position="aaaa-1", replayed=0, members=(), member_count=1)
    state.receive(s.RoomJoined(data=data), 0.0)
    state.join(says)
    state.send(says, "hi")
    state.typing(types, is_typing=True)
    assert state.rooms == [name]
    assert str(state.position(types)) == "aaaa-1"
    state.leave(leaves)
    sent = state.take_outgoing()
    assert rooms_of(sent) == {name}
    assert [type(message) for message in sent] == [c.JoinRoom, c.ChatMessage, c.Typing, c.LeaveRoom]
    assert state.rooms == []


def test_a_text_for_a_room_that_was_not_joined() -> None:
    with pytest.raises(KeyError):
        ClientState(id_prefix="me").send("e\u0301", "hi")
