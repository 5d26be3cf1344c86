"""Rooms: joining, leaving, chatting, typing and presence, on both WebSocket transports."""

from __future__ import annotations

from tests.support.clients.raw_http import PING, PONG, TEXT, RawWebSocket
from tests.support.clients.rooms import join, open_ws, publish_event, say
from tests.support.servers.live_server import LiveServer, live_server, token


def test_the_greeting(server: LiveServer) -> None:
    with RawWebSocket(server.port, f"/api/v1/ws/v2?token={token('ann', name='Ann')}") as ws:
        greeting = ws.message()
        assert greeting["type"] == "pong"
        data = greeting["data"]
        assert data["message"] == "Connected"
        assert data["user_id"] == "ann"
        assert data["protocol"] == 1
        assert data["heartbeat_s"] == 30.0
        assert {"connection_id", "instance_id", "token_expires_at"} <= data.keys()


def test_commands_take_effect_in_their_order(server: LiveServer, room: str) -> None:
    """A client need not wait for `room_joined` before it sends something."""
    with open_ws(server) as ws:
        for _ in range(3):
            ws.send("join_room", room=room)
            ws.send("chat_message", room=room, content="hello")
            ws.send("leave_room", room=room)
            ws.send("chat_message", "late", room=room, content="too late")
        for _ in range(3):
            assert ws.until("room_joined")["data"]["room"] == room
            assert ws.until("room_left")["data"]["room"] == room
            assert ws.until("error")["data"]["code"] == "not_in_room"


def test_a_user_who_has_left_gets_nothing_more(server: LiveServer, room: str) -> None:
    with open_ws(server, "1") as stays, open_ws(server, "2") as leaves:
        join(stays, room)
        join(leaves, room)
        leaves.send("leave_room", room=room)
        leaves.until("room_left")
        say(stays, room, "after")
        leaves.send("ping", "end")
        assert leaves.message()["id"] == "end"


# -- presence ---------------------------------------------------------------------------------------------


def test_presence_is_by_user(server: LiveServer, room: str) -> None:
    with open_ws(server, "1", name="Ann") as ann, open_ws(server, "2", name="Bob") as bob:
        assert join(ann, room)["members"] == [{"user_id": 1, "name": "Ann"}]
        joined = join(bob, room)
        assert joined["member_count"] == 2
        news = ann.until("user_joined")["data"]
        assert news == {"user_id": 2, "name": "Bob", "room": room}
        with open_ws(server, "2", name="Bob") as tab:
            join(tab, room)  # the others are not told
            tab.send("leave_room", room=room)
            tab.until("room_left")
        bob.send("leave_room", room=room)
        assert ann.message()["type"] == "user_left"


def test_a_lost_connection_is_announced_after_the_grace_period(server: LiveServer, room: str) -> None:
    with open_ws(server, "1") as ann:
        join(ann, room)
        with open_ws(server, "2") as bob:
            join(bob, room)
            ann.until("user_joined")
        assert ann.until("user_left")["data"]["user_id"] == 2


def test_a_user_who_reconnects_in_time_was_never_gone(fast: bool, room: str) -> None:
    with live_server(fast_websockets=fast, presence_grace_s=60.0) as server, open_ws(server, "1") as ann:
        join(ann, room)
        for _ in range(3):
            with open_ws(server, "2") as bob:
                join(bob, room)
        ann.send("ping", "end")
        types = []
        while (message := ann.message()).get("id") != "end":
            types.append(message["type"])
        assert types == ["user_joined"]


def test_typing_is_told_to_the_other_users_and_ends_by_itself(fast: bool, room: str) -> None:
    with (
        live_server(fast_websockets=fast, typing_s=0.3) as server,
        open_ws(server, "1", name="Ann") as ann,
        open_ws(server, "1", name="Ann") as tab,
        open_ws(server, "2") as bob,
    ):
        for ws in (ann, tab, bob):
            join(ws, room)
        ann.send("typing", room=room, is_typing=True)
        expected = {"user_id": 1, "name": "Ann", "room": room}
        assert bob.until("user_typing")["data"] == {**expected, "is_typing": True}
        assert bob.until("user_typing")["data"] == {**expected, "is_typing": False}
        for own in (ann, tab):
            own.send("ping", "end")
            types = []
            while (message := own.message()).get("id") != "end":
                types.append(message["type"])
            assert "user_typing" not in types


# -- rights, tokens ---------------------------------------------------------------------------------------


def test_rights_are_checked_and_the_connection_stays(server: LiveServer) -> None:
    grants = token(rooms=[{"match": "open-*", "can": ["join"]}])
    with RawWebSocket(server.port, f"/api/v1/ws?token={grants}") as ws:
        ws.message()
        join(ws, "open-1")
        ws.send("chat_message", "c", room="open-1", content="x")
        assert ws.until("error")["data"]["code"] == "forbidden"
        ws.send("join_room", "j", room="closed")
        refused = ws.until("error")
        assert (refused["data"]["code"], refused["id"]) == ("forbidden", "j")


def test_a_token_that_expires(fast: bool) -> None:
    with (
        live_server(fast_websockets=fast, expiry_grace_s=0.2) as server,
        RawWebSocket(server.port, f"/api/v1/ws?token={token(ttl_s=2)}") as ws,
    ):
        ws.until("token_expiring")
        close = ws.close_frame()
        assert close is not None
        assert close.code == 4002


def test_a_refresh_takes_rooms_away_that_the_new_token_does_not_allow(server: LiveServer, room: str) -> None:
    with open_ws(server) as ws:
        join(ws, room)
        ws.send("refresh", "r1", token="rubbish")
        assert ws.until("error")["data"]["code"] == "invalid_token"
        ws.send("refresh", "r2", token=token("8"))
        assert ws.until("error")["data"]["code"] == "invalid_token"
        ws.send("refresh", "r3", token=token("7", rooms=[{"match": "other", "can": ["join"]}]))
        assert ws.until("refreshed")["id"] == "r3"
        assert ws.until("room_left")["data"]["room"] == room


# -- heartbeats -------------------------------------------------------------------------------------------


def test_v2_pings_and_closes_clients_that_do_not_answer(fast: bool) -> None:
    with (
        live_server(fast_websockets=fast, ping_interval_s=0.2, pong_timeout_s=0.1, max_misses=2) as server,
        open_ws(server, path="/api/v1/ws/v2") as ws,
    ):
        for _ in range(3):
            assert ws.until("ping")["timestamp"]
            ws.send("pong")
        assert ws.until("closing")["data"]["code"] == 4000
        close = ws.close_frame()
        assert close is not None
        assert close.code == 4000


def test_v2_takes_any_message_for_an_answer(fast: bool) -> None:
    with (
        live_server(fast_websockets=fast, ping_interval_s=0.5, pong_timeout_s=0.5, max_misses=1) as server,
        open_ws(server, path="/api/v1/ws/v2") as ws,
    ):
        ws.until("ping")
        ws.send("pong")
        ws.until("ping")
        ws.send("ping")
        ws.until("ping")
        ws.send("chat_message", room="elsewhere", content="refused")
        ws.until("ping")


def test_v2_takes_nothing_else_for_an_answer(fast: bool) -> None:
    with (
        live_server(fast_websockets=fast, ping_interval_s=0.2, pong_timeout_s=0.1, max_misses=2) as server,
        open_ws(server, path="/api/v1/ws/v2") as ws,
    ):
        for _ in range(2):
            ws.until("ping")
            ws.send_frame(PONG, b"x")
            ws.send_frame(PING, b"x")
            ws.send_text("pong")  # no message of the protocol
        ws.send_frame(TEXT, b'{"type":', fin=False)
        close = ws.close_frame()
        assert close is not None
        assert close.code == 4000


def test_v1_finds_dead_peers_with_rfc_pings(fast: bool) -> None:
    with (
        live_server(fast_websockets=fast, rfc_ping_interval_s=0.2, rfc_ping_timeout_s=0.2) as server,
        open_ws(server) as ws,
    ):
        close = ws.close_frame()  # reads pings and answers none
        assert close is not None
        assert close.code in {4000, 1011}  # 1011: uvicorn's own, where the transport is the portable one


def test_kick_closes_everything_of_a_user_for_good(server: LiveServer) -> None:
    with open_ws(server, "31") as first, open_ws(server, "31") as second, open_ws(server, "32") as other:
        assert server.ask(lambda realtime: realtime.hub.kick("31")) == 2
        for ws in (first, second):
            close = ws.close_frame()
            assert close is not None
            assert close.code == 4500
        other.send("ping", "still here")
        assert other.until("pong")["id"] == "still here"


def test_personal_and_broadcast_events_unless_they_are_declined(server: LiveServer) -> None:
    with (
        open_ws(server, "41") as plain,
        open_ws(server, "41", path="/api/v1/ws/v2?events=1") as asking,
        open_ws(server, "41", path="/api/v1/ws?events=0") as declining,
    ):
        for channel in ("user:41", "user:42", "all"):
            publish_event(server, channel)
        for ws in (plain, asking):
            events = [ws.until("event")["data"] for _ in range(2)]
            # Channels keep no order among each other: nobody had followed the user's before.
            assert sorted(event["channel"] for event in events) == ["all", "user:41"]
            assert events[0]["event"] == "news"
            assert events[0]["data"] == {"n": 1}
        declining.send("ping", "end")
        assert declining.message()["id"] == "end"
