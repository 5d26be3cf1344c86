"""Several instances are one deployment to their users: presence, caps, rates, kicks, over a real Redis."""

from __future__ import annotations

import json
import signal
import time
from contextlib import ExitStack

import pytest

from rtcli_server.broker import Place
from rtcli_server.cluster.control import CHANNEL, EVENT
from tests.support.clients.raw_sse import EventStream
from tests.support.clients.rooms import connect_ws, join, open_ws
from tests.support.redis.server import RedisServer
from tests.support.servers.live_server import LiveServer, token
from tests.support.servers.two_instances import (
    LEASE_S,
    Pair,
    enter,
    http,
    members,
    prefix_of,
    seen_before,
    two_instances,
    wait_ready,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

NO_EVENTS = "/api/v1/ws?events=0"  # greeted without the log


def status_of_stream(server: LiveServer, sub: str, cursor: str) -> int:
    with EventStream(server.port, sub=sub, last_event_id=cursor) as stream:
        return stream.status


def rooms(server: LiveServer) -> dict[str, int]:
    body = http(server, "GET", "/api/v1/rooms").json()
    return {room["room"]: room["member_count"] for room in body["rooms"]}


def test_a_user_who_joins_on_one_instance_is_seen_on_the_other(pair: Pair) -> None:
    first, second = pair
    with enter(first, "1", "lobby", "Ann") as ann, open_ws(second, "2", name="Bob") as bob:
        bob.send("join_room", room="lobby")
        joined = bob.until("room_joined")["data"]
        assert joined["member_count"] == 2
        assert {(m["user_id"], m["name"]) for m in joined["members"]} == {(1, "Ann"), (2, "Bob")}
        told = ann.until("user_joined")["data"]
        assert (told["user_id"], told["name"], told["room"]) == (2, "Bob", "lobby")
        assert [members(server, "lobby") for server in pair] == [{1, 2}, {1, 2}]
        wait_until(lambda: [rooms(server)["lobby"] for server in pair] == [2, 2])
        bob.send("leave_room", room="lobby")
        assert ann.until("user_left")["data"]["user_id"] == 2
        assert members(second, "lobby") == {1}


def test_a_second_device_on_another_instance_is_silent(pair: Pair) -> None:
    first, second = pair
    with enter(first, "1", "devices") as watcher, enter(first, "5", "devices") as phone:
        watcher.until("user_joined")
        with enter(second, "5", "devices") as laptop:
            phone.send("leave_room", room="devices")
            phone.until("room_left")
            assert seen_before(watcher, "still here", "devices") == []
            assert members(first, "devices") == {1, 5}
            laptop.send("leave_room", room="devices")
            laptop.until("room_left")
        assert watcher.until("user_left")["data"]["user_id"] == 5


def test_one_who_comes_back_on_another_instance_was_never_gone(pair: Pair) -> None:
    first, second = pair
    with enter(second, "1", "moving") as watcher:
        lost = enter(first, "6", "moving")
        watcher.until("user_joined")
        with open_ws(
            second, "6"
        ) as back:  # before the grace period begins, so that one message has to fit in it
            lost.sock.close()
            join(back, "moving")
            time.sleep(0.6)  # twice the grace period
            assert seen_before(watcher, "nothing happened", "moving") == []
        assert watcher.until("user_left")["data"]["user_id"] == 6


def test_typing_is_seen_on_the_other_instance_and_ends_there(redis_of_session: RedisServer) -> None:
    with (
        two_instances(redis_of_session, typing_s=0.3) as (first, second),
        enter(first, "1", "typing") as ann,
        enter(second, "2", "typing") as bob,
    ):
        ann.until("user_joined")
        bob.send("typing", room="typing", is_typing=True)
        assert ann.until("user_typing")["data"]["is_typing"] is True
        told = ann.until("user_typing")["data"]
        assert (told["user_id"], told["is_typing"]) == (2, False)
        assert seen_before(bob, "not about me", "typing") == []


def test_a_kick_reaches_every_instance(pair: Pair) -> None:
    first, second = pair
    assert http(first, "DELETE", "/api/v1/users/8/connections").status_code == 403
    with (
        open_ws(first, "8") as here,
        open_ws(second, "8") as there,
        EventStream(second.port, sub="8") as tail,
    ):
        cursor = tail.until("ready").id
        wait_until(lambda: bool(second.ask(lambda realtime: realtime.hub.of_user("8"))))
        answer = http(first, "DELETE", "/api/v1/users/8/connections", "root", scope="admin")
        assert answer.json() == {"closed": 3}
        for ws in (here, there):
            frame = ws.close_frame()
            assert frame is not None
            assert frame.code == 4500
    # A browser that comes back is told to stay away, whichever instance it finds.
    wait_until(lambda: [status_of_stream(server, "8", cursor) for server in pair] == [204, 204])


def test_a_stream_is_refreshed_through_another_instance(pair: Pair) -> None:
    first, second = pair
    soon = token("10", ttl_s=60)

    def expires_at(connection_id: str) -> float:
        return second.ask(
            lambda realtime: float(vars(realtime.hub.clients[connection_id])["principal"].expires_at)
        )

    with EventStream(second.port, rooms=("a",), bearer=soon) as stream:
        stream.until("ready")
        connection_id = second.ask(lambda realtime: next(c.connection_id for c in realtime.hub.of_user("10")))
        before = expires_at(connection_id)
        path = f"/api/v1/streams/{connection_id}/refresh"
        assert http(first, "POST", path, "somebody else").status_code == 200  # nobody is told whose it is
        assert http(first, "POST", path, "10").status_code == 200
        wait_until(lambda: expires_at(connection_id) > before + 1_000)
    assert http(first, "POST", "/api/v1/streams/00000000-1234/refresh", "10").status_code == 404


def test_a_command_of_a_newer_version_is_passed_over(pair: Pair) -> None:
    first, second = pair
    with open_ws(second, "20") as ws:
        first.ask(
            lambda realtime: realtime.broker.publish(CHANNEL, EVENT, b'{"type":"dance"}', key=None, time_ms=1)
        )
        assert http(first, "DELETE", "/api/v1/users/20/connections", "root", scope="admin").status_code == 200
        frame = ws.close_frame()
        assert frame is not None
        assert frame.code == 4500
    for server in pair:
        assert server.ask(lambda realtime: realtime.foreign.counts[Place.COMMAND]) == 1


def test_the_connections_of_a_user_are_counted_over_all_instances(redis_of_session: RedisServer) -> None:
    with two_instances(redis_of_session, user_connections=2) as (first, second):
        with enter(first, "3", "a"), enter(second, "3", "b"):
            with connect_ws(second, "3") as third:
                closing = third.until("closing")["data"]
                assert closing["code"] == 1013
                assert closing["retry_after_ms"] > 0
                frame = third.close_frame()
                assert frame is not None
                assert frame.reason == "rate_limited: Too many connections (user)"
            with EventStream(first.port, sub="3") as stream:
                assert json.loads(stream.until("closing").data)["code"] == 1013
        # Both are gone, which the others hear in a moment: there is room again.
        with redis_of_session.admin as redis:
            wait_until(lambda: not redis.keys(f"{prefix_of(first)}:{{user:3}}:c"))
        with enter(second, "3", "a") as again, enter(second, "3", "b"):
            assert seen_before(again, "let in", "a") == []


def open_here(server: LiveServer, sub: str) -> int:
    """How many connections a user has on one instance."""
    return server.ask(lambda realtime: len(realtime.hub.of_user(sub)))


def open_in_all(pair: Pair, sub: str) -> list[int]:
    return [open_here(server, sub) for server in pair]


def test_a_place_is_not_spent_on_a_connection_that_is_closed_already(own_redis: RedisServer) -> None:
    with two_instances(own_redis, user_connections=3) as pair, ExitStack() as stack:
        first, second = pair
        for _ in range(3):
            stack.enter_context(open_ws(first, "3"))
        wait_until(lambda: own_redis.command("HLEN", f"{prefix_of(first)}:{{user:3}}:c") == 1)
        own_redis.send(signal.SIGSTOP)
        early = connect_ws(second, "3", path=NO_EVENTS)
        wait_until(lambda: open_in_all(pair, "3") == [3, 1])
        stays = stack.enter_context(open_ws(second, "3", path=NO_EVENTS))
        late = connect_ws(second, "3", path=NO_EVENTS)
        wait_until(lambda: open_in_all(pair, "3") == [3, 3])
        for ws in (late, early):
            ws.sock.close()
        wait_until(lambda: open_in_all(pair, "3") == [3, 1])
        own_redis.send(signal.SIGCONT)
        assert stays.until("closing")["data"]["code"] == 1013
        wait_until(lambda: open_in_all(pair, "3") == [3, 0])


def test_connections_that_came_while_redis_was_away_are_counted_when_it_is_back(
    own_redis: RedisServer,
) -> None:
    with two_instances(own_redis, user_connections=2) as pair, ExitStack() as stack:
        first, second = pair
        stack.enter_context(open_ws(first, "3"))
        own_redis.kill()
        for server in (first, second, second):
            stack.enter_context(open_ws(server, "3", path=NO_EVENTS))
        wait_until(lambda: open_in_all(pair, "3") == [2, 2])
        for server in pair:  # what was asked before this has failed by then
            assert http(server, "GET", "/api/v1/rooms/any/members").status_code == 503
        own_redis.start()
        wait_until(lambda: sum(open_in_all(pair, "3")) == 2)
        for server in pair:
            wait_ready(server)
        with own_redis.admin as admin:
            key = f"{prefix_of(first)}:{{user:3}}:c"
            wait_until(lambda: sum(map(int, admin.hvals(key))) == 2)
        assert sum(open_in_all(pair, "3")) == 2


def test_the_rate_of_a_user_is_one_for_all_instances(redis_of_session: RedisServer) -> None:
    limits = {"rate_limit_per_s": 20.0, "user_rate_factor": 1.0}
    with (
        two_instances(redis_of_session, **limits) as (first, second),
        enter(first, "4", "rate") as here,
        enter(second, "4", "rate") as there,
    ):
        ends = time.monotonic() + 3.0
        sent = 0
        while time.monotonic() < ends:
            for ws in (here, there):
                ws.send("ping")
            sent += 1
            time.sleep(0.01)
        answered = sum(ws.message()["type"] == "pong" for ws in (here, there) for _ in range(sent))
    # Two bursts of 40 before they have heard of each other, then 20 a second for both together; by
    # themselves it would be 20 a second for each.
    assert 80 <= answered <= 80 + 20 * 3 + 20, answered


def test_who_was_forgotten_is_said_again(pair: Pair, redis_of_session: RedisServer) -> None:
    first, second = pair
    with enter(first, "1", "forgotten") as ann, enter(second, "2", "forgotten"):
        ann.until("user_joined")
        prefix = prefix_of(first)
        with redis_of_session.admin as redis:
            assert redis.delete(*redis.keys(f"{prefix}:*")) > 0
        wait_until(lambda: members(first, "forgotten") == {1, 2})
        wait_ready(second)


def test_what_is_not_ours_under_the_keys_of_presence_is_replaced(
    pair: Pair, redis_of_session: RedisServer
) -> None:
    first, second = pair
    prefix = prefix_of(first)
    with redis_of_session.admin as redis:
        redis.set(f"{prefix}:{{room:odd}}:u", "not a hash")
        redis.lpush(f"{prefix}:{{room:odd}}:i", "nor this")
        redis.set(f"{prefix}:{{user:9}}:c", "x")
        redis.lpush(f"{prefix}:{{user:9}}:r", "x")
        redis.publish(f"{prefix}:p:room:odd", '0 {"kind":"joined"}')
        redis.publish(f"{prefix}:p:room:odd", "0 " + "x" * 10_000)
    with enter(first, "9", "odd") as odd, enter(second, "1", "odd"):
        assert odd.until("user_joined")["data"]["user_id"] == 1
        with redis_of_session.admin as redis:
            redis.hset(f"{prefix}:{{room:odd}}:u", "junk", "no name here")
            redis.publish(f"{prefix}:p:room:odd", '0 {"kind":"joined"}')
        assert seen_before(odd, "still served", "odd") == []
        for _ in range(60):  # enough to be told to the others
            odd.send("ping")
        with redis_of_session.admin as redis:
            wait_until(lambda: 0 < redis.pttl(f"{prefix}:{{user:9}}:r") < 5_000)


def test_forged_entries_of_a_stream_reach_no_client(pair: Pair, redis_of_session: RedisServer) -> None:
    first, second = pair
    prefix = prefix_of(first)
    forged = [("x\ndata: {}\n\nevent: ready", b"{}"), ("new_message", b'{"content":"no sender"}')]
    with redis_of_session.admin as redis, EventStream(second.port, sub="30", rooms=("forged",)) as stream:
        stream.until("ready")
        http(first, "POST", "/api/v1/rooms/forged/messages", json={"content": "before"})
        stream.until("new_message")
        for offset, (event, data) in enumerate(forged, start=2):
            fields = {"e": event, "d": data, "t": "1700000000000", "b": "1"}
            redis.xadd(f"{prefix}:{{room:forged}}:s", fields, id=f"{offset}-0")
        redis.hset(f"{prefix}:{{room:forged}}:m", "top", "3")
        answer = http(first, "GET", "/api/v1/rooms/forged/messages")
        assert answer.status_code == 200
        assert [message["content"] for message in answer.json()["messages"]] == ["before"]
        assert first.ask(lambda realtime: realtime.foreign.counts[Place.LOG]) >= len(forged)
        http(first, "POST", "/api/v1/rooms/forged/messages", json={"content": "after"})
        events = [stream.event() for _ in range(2)]
        assert [event.event for event in events if event] == ["gap", "new_message"]


def test_every_key_expires_and_none_is_left_of_a_room_that_was_left(
    pair: Pair, redis_of_session: RedisServer
) -> None:
    first, second = pair
    prefix = prefix_of(first)
    with enter(first, "1", "keys") as ann, enter(second, "2", "keys") as bob:
        ann.until("user_joined")
        with redis_of_session.admin as redis:
            for key in redis.keys(f"{prefix}:*"):
                assert redis.pttl(key) > 0, key
        for ws in (ann, bob):
            ws.send("leave_room", room="keys")
            ws.until("room_left")
        with redis_of_session.admin as redis:
            wait_until(lambda: not redis.keys(f"{prefix}:{{room:keys}}:[iu]"))


def test_without_redis_joins_and_kicks_are_refused_and_all_comes_back(own_redis: RedisServer) -> None:
    with two_instances(own_redis) as (first, second), enter(first, "1", "away") as ann:
        own_redis.kill()
        with connect_ws(second, "3") as asking:  # whose events nobody can read now
            closing = asking.until("closing")["data"]
            assert (closing["code"], closing["reason"]) == (1013, "unavailable")
        with open_ws(second, "2", path=NO_EVENTS) as bob:
            bob.send("join_room", "j-1", room="away")
            refused = bob.until("error")
            assert (refused["id"], refused["data"]["code"]) == ("j-1", "unavailable")
            assert http(first, "GET", "/api/v1/rooms/away/members").status_code == 503
            assert http(first, "GET", "/api/v1/rooms").status_code == 503
            kick = http(first, "DELETE", "/api/v1/users/99/connections", "root", scope="admin")
            assert kick.status_code == 503
            assert "repeat it" in kick.json()["detail"]
            ann.send("leave_room", room="away")  # cannot be said now
            ann.until("room_left")
            own_redis.start()
            wait_ready(second)
            bob.send("join_room", room="away")
            bob.until("room_joined")
            wait_until(lambda: members(first, "away") == {2})


def test_an_instance_that_ends_keeps_its_users_for_those_who_come_back(redis_of_session: RedisServer) -> None:
    with (
        two_instances(redis_of_session, retry_spread_s=0.5) as (first, second),
        enter(second, "1", "rolling") as watcher,
    ):
        moving = [enter(first, str(number), "rolling") for number in (11, 12)]
        for _ in moving:
            watcher.until("user_joined")
        first.stop_soon()
        for ws in moving:
            ws.until("closing")
            ws.close_frame()
            ws.sock.close()
        with enter(second, "11", "rolling"):
            assert seen_before(watcher, "both still count", "rolling") == []
            assert members(second, "rolling") == {1, 11, 12}
            left = watcher.until("user_left")["data"]  # the one who did not come back
            assert left["user_id"] == 12
            assert members(second, "rolling") == {1, 11}


@pytest.mark.parametrize("alive_s", [3 * LEASE_S])
def test_users_of_a_living_instance_stay(pair: Pair, alive_s: float) -> None:
    first, second = pair
    with enter(first, "1", "steady") as ann, enter(second, "2", "steady"):
        ann.until("user_joined")
        time.sleep(alive_s)
        assert seen_before(ann, "nobody moved", "steady") == []
        assert members(second, "steady") == {1, 2}
