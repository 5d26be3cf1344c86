"""Any message that a client may send, as a hypothesis strategy."""

from __future__ import annotations

from hypothesis import strategies as st

from rtcli.protocol.messages.client import (
    AskCursor,
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
from tests.support.protocol.strategies import contents, ids, rooms, texts

messages: st.SearchStrategy[ClientMessage] = st.one_of(
    st.builds(Ping, id=ids),
    st.builds(Pong, id=ids),
    st.builds(AskCursor, id=ids),
    st.builds(
        JoinRoom,
        st.builds(JoinData, room=rooms, since=st.none() | texts, history=st.integers(0, 500)),
        ids,
    ),
    st.builds(LeaveRoom, st.builds(RoomData, rooms), ids),
    st.builds(ChatMessage, st.builds(ChatData, rooms, contents), ids),
    st.builds(Typing, st.builds(TypingData, rooms, st.booleans()), ids),
    st.builds(Refresh, st.builds(RefreshData, texts), ids),
)
