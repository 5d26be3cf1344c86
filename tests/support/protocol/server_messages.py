"""Each message of the server, and its text on the wire."""

from __future__ import annotations

from rtcli.protocol.messages.client import NoData, RoomData
from rtcli.protocol.messages.server import (
    Ack,
    AckData,
    Closing,
    ClosingData,
    Connected,
    ConnectedData,
    Cursor,
    CursorData,
    Direct,
    DirectData,
    Error,
    ErrorData,
    Event,
    EventData,
    ExpiryData,
    Gap,
    GapData,
    MemberInfo,
    NewMessage,
    NewMessageData,
    PresenceData,
    Refreshed,
    RoomJoined,
    RoomJoinedData,
    RoomLeft,
    ServerMessage,
    ServerPing,
    ServerPong,
    Skipped,
    SkippedData,
    TokenExpiring,
    UserJoined,
    UserLeft,
    UserTyping,
    UserTypingData,
)

T = "2026-05-01T09:30:00.250Z"

AT = f'"timestamp":"{T}"'

ALICE = PresenceData(user_id=7, name="alice", room="a")

CATALOGUE: list[tuple[ServerMessage, str]] = [
    (
        Connected(
            data=ConnectedData(
                connection_id="c1", user_id=7, instance_id="i1", heartbeat_s=30.0, token_expires_at=T
            ),
            timestamp=T,
        ),
        (
            f'{{"type":"pong",{AT},"data":{{"connection_id":"c1","user_id":7,"instance_id":"i1","heartbeat_s":30.0,'
            f'"token_expires_at":"{T}","message":"Connected","protocol":1}}}}'
        ),
    ),
    (ServerPong(id="p", timestamp=T), f'{{"type":"pong","id":"p",{AT},"data":{{}}}}'),
    (ServerPong(data=NoData()), '{"type":"pong","data":{}}'),
    (ServerPing(timestamp=T), f'{{"type":"ping",{AT}}}'),
    (
        RoomJoined(
            id="j",
            data=RoomJoinedData(
                room="a",
                position="k3f9-42",
                replayed=0,
                members=(MemberInfo(7, "alice"), MemberInfo("bob", "Bob")),
                member_count=2,
            ),
        ),
        (
            '{"type":"room_joined","id":"j","data":{"room":"a","position":"k3f9-42","replayed":0,'
            '"members":[{"user_id":7,"name":"alice"},{"user_id":"bob","name":"Bob"}],"member_count":2}}'
        ),
    ),
    (
        RoomJoined(
            data=RoomJoinedData(
                room="a",
                position="k3f9-42",
                replayed=0,
                members=(),
                member_count=0,
                recovered=False,
                reason="epoch_changed",
            )
        ),
        (
            '{"type":"room_joined","data":{"room":"a","position":"k3f9-42","replayed":0,"members":[],"member_count":0,'
            '"recovered":false,"reason":"epoch_changed"}}'
        ),
    ),
    (RoomLeft(id="l", data=RoomData("a")), '{"type":"room_left","id":"l","data":{"room":"a"}}'),
    (UserJoined(data=ALICE), '{"type":"user_joined","data":{"user_id":7,"name":"alice","room":"a"}}'),
    (UserLeft(data=ALICE), '{"type":"user_left","data":{"user_id":7,"name":"alice","room":"a"}}'),
    (
        NewMessage(
            data=NewMessageData(
                room="a",
                content="hi",
                sender_id=7,
                sender_name="alice",
                timestamp=T,
                offset=42,
                epoch="k3f9",
                id="c-7",
            )
        ),
        (
            f'{{"type":"new_message","data":{{"room":"a","content":"hi","sender_id":7,"sender_name":"alice",{AT},'
            '"offset":42,"epoch":"k3f9","id":"c-7"}}'
        ),
    ),
    (
        UserTyping(data=UserTypingData(user_id="u", name="u", room="a", is_typing=True)),
        '{"type":"user_typing","data":{"user_id":"u","name":"u","room":"a","is_typing":true}}',
    ),
    (
        Ack(id="c-7", data=AckData(room="a", offset=42, epoch="k3f9", duplicate=False)),
        '{"type":"ack","id":"c-7","data":{"room":"a","offset":42,"epoch":"k3f9","duplicate":false}}',
    ),
    (
        Event(data=EventData(event="note", data={"x": [1]}, channel="user:7", offset=3, epoch="k3f9")),
        '{"type":"event","data":{"event":"note","data":{"x":[1]},"channel":"user:7","offset":3,"epoch":"k3f9"}}',
    ),
    (
        Gap(data=GapData(room="a", from_="k3f9-3", to="k3f9-9", lost=6, reason="trimmed")),
        '{"type":"gap","data":{"room":"a","from":"k3f9-3","to":"k3f9-9","lost":6,"reason":"trimmed"}}',
    ),
    (
        Gap(data=GapData(room="a", from_="k3f9-3", to="m111-9", lost=None, reason="epoch_changed")),
        '{"type":"gap","data":{"room":"a","from":"k3f9-3","to":"m111-9","lost":null,"reason":"epoch_changed"}}',
    ),
    (
        Direct(data=DirectData(event="note", data={"x": [1]}), timestamp=T),
        f'{{"type":"direct",{AT},"data":{{"event":"note","data":{{"x":[1]}}}}}}',
    ),
    (
        Skipped(data=SkippedData(room="~me", offset=3, epoch="k3f9")),
        '{"type":"skipped","data":{"room":"~me","offset":3,"epoch":"k3f9"}}',
    ),
    (
        Cursor(id="c", data=CursorData("~all=k3f9-3")),
        '{"type":"cursor","id":"c","data":{"cursor":"~all=k3f9-3"}}',
    ),
    (
        TokenExpiring(data=ExpiryData(expires_at=T)),
        f'{{"type":"token_expiring","data":{{"expires_at":"{T}"}}}}',
    ),
    (
        Refreshed(id="r", data=ExpiryData(expires_at=T)),
        f'{{"type":"refreshed","id":"r","data":{{"expires_at":"{T}"}}}}',
    ),
    (
        Closing(data=ClosingData(code=1012, reason="restart", retry_after_ms=1500)),
        '{"type":"closing","data":{"code":1012,"reason":"restart","retry_after_ms":1500}}',
    ),
    (
        Error(id="c", data=ErrorData(code="not_in_room", message="Join the room first")),
        '{"type":"error","id":"c","data":{"code":"not_in_room","message":"Join the room first"}}',
    ),
    (
        Error(data=ErrorData(code="rate_limited", message="Too many messages", retry_after_ms=10)),
        '{"type":"error","data":{"code":"rate_limited","message":"Too many messages","retry_after_ms":10}}',
    ),
]
