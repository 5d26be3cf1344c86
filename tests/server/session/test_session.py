"""The rules of one connection, each on its own. `test_session_machine.py` mixes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from rtcli.protocol.codes import CloseCode
from rtcli.protocol.position import Position
from rtcli_server.session.decisions import (
    CheckToken,
    Close,
    Decision,
    Join,
    Leave,
    Publish,
    Reply,
    SendPing,
    SetTyping,
)
from rtcli_server.session.session import Session
from rtcli_server.session.settings import HeartbeatMode, SessionSettings
from tests.support.fakes.session import WALL, FakeRights, text


def make(
    rights: FakeRights | None = None,
    heartbeat: HeartbeatMode = HeartbeatMode.SERVER,
    settings: SessionSettings | None = None,
) -> Session:
    return Session(
        connection_id="c1",
        rights=rights or FakeRights(),
        instance_id="i1",
        heartbeat=heartbeat,
        settings=settings or SessionSettings(),
        now=0.0,
        wall=WALL,
    )


def say(
    session: Session, type_: str, id_: str | None = None, *, now: float = 0.0, **data: object
) -> list[Decision]:
    return session.receive(text(type_, id_, **data), now, WALL + now)


def reply(decisions: list[Decision]) -> dict[str, Any]:
    """What the one Reply among the decisions says; it must come first."""
    assert isinstance(decisions[0], Reply)
    value: dict[str, Any] = json.loads(decisions[0].text)
    return value


def error(decisions: list[Decision]) -> tuple[str, str | None]:
    said = reply(decisions)
    assert said["type"] == "error"
    return said["data"]["code"], said.get("id")


def join(
    room: str,
    since: Position | None = None,
    *,
    since_invalid: bool = False,
    history: int = 0,
    id_: str | None = None,
) -> Join:
    return Join(room, since, since_invalid, history, id_, room)


def joined(session: Session, *rooms: str) -> Session:
    for room in rooms:
        (decision,) = say(session, "join_room", room=room)
        assert isinstance(decision, Join)
        session.joined(decision)
    return session


# -- the beginning -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heartbeat", "seconds"), [(HeartbeatMode.SERVER, 30.0), (HeartbeatMode.CLIENT, 20.0)]
)
def test_the_first_message(heartbeat: HeartbeatMode, seconds: float) -> None:
    assert reply(make(heartbeat=heartbeat).opening(WALL)) == {
        "type": "pong",
        "timestamp": "1970-01-12T13:46:40.000Z",
        "data": {
            "message": "Connected",
            "connection_id": "c1",
            "user_id": 7,
            "instance_id": "i1",
            "protocol": 1,
            "heartbeat_s": seconds,
            "token_expires_at": "1970-01-12T14:46:40.000Z",
        },
    }


# -- messages ----------------------------------------------------------------------------------------------


def test_ping_and_pong() -> None:
    session = make()
    assert reply(say(session, "ping", "p")) == {
        "type": "pong",
        "id": "p",
        "timestamp": "1970-01-12T13:46:40.000Z",
        "data": {},
    }
    assert "id" not in reply(say(session, "ping"))
    assert say(session, "pong") == []


def test_join() -> None:
    session = make()
    assert say(session, "join_room", "j", room="a") == [join("a", id_="j")]
    assert session.rooms == set(), "the driver says when it is done"
    session.joined(join("a"))
    assert session.rooms == {"a"}
    assert say(session, "join_room", room="a", history=20) == [join("a", history=20)]


@pytest.mark.parametrize(
    ("since", "position", "invalid"),
    [
        ("k3f9-42", Position("k3f9", 42), False),
        (None, None, False),
        ("", None, True),
        ("garbage", None, True),
        ("k3f9--1", None, True),
        ("k3f9-" + "9" * 31, None, True),
        (-1, None, True),
        (10**30, None, True),
    ],
)
def test_j13_since(since: object, position: Position | None, invalid: bool) -> None:
    assert say(make(), "join_room", room="a", since=since) == [join("a", position, since_invalid=invalid)]


@pytest.mark.parametrize("room", ["a  b", "a\nb", "a?b", "e\u0301?", "\u202e", "x" * 129, "a\u200bb"])
@pytest.mark.parametrize("type_", ["join_room", "leave_room", "chat_message", "typing"])
def test_j6_rooms_of_no_valid_name(room: str, type_: str) -> None:
    said = say(make(), type_, "r", room=room, content="x", is_typing=True)
    assert error(said) == ("invalid_room", "r")


def test_j7_not_a_member() -> None:
    session = make()
    for type_ in ("leave_room", "chat_message", "typing"):
        assert error(say(session, type_, "n", room="a", content="x", is_typing=True)) == ("not_in_room", "n")
    joined(session, "a")
    assert say(session, "leave_room", "l", room="a") == [Leave("a", "l", "a")]
    assert error(say(session, "leave_room", "l", room="a")) == ("not_in_room", "l")
    assert error(say(session, "chat_message", room="a", content="x")) == ("not_in_room", None)


def test_j7_too_many_rooms() -> None:
    session = joined(make(settings=SessionSettings(max_rooms=3)), "a", "b", "c")
    assert error(say(session, "join_room", "j", room="d")) == ("too_many_rooms", "j")
    assert say(session, "join_room", room="a") == [join("a")]
    say(session, "leave_room", room="b")
    joined(session, "d")


def test_chat_and_typing() -> None:
    session = joined(make(), "a")
    assert say(session, "chat_message", "c-7", room="a", content="hi") == [Publish("a", "hi", "c-7", "a")]
    assert say(session, "chat_message", room="a", content="hi") == [Publish("a", "hi", None, "a")]
    assert say(session, "typing", room="a", is_typing=True) == [SetTyping("a", is_typing=True)]
    assert say(session, "typing", room="a", is_typing=False) == [SetTyping("a", is_typing=False)]


def test_an_empty_id_is_no_idempotency_key() -> None:
    session = joined(make(), "a")
    assert say(session, "chat_message", "", room="a", content="hi") == [Publish("a", "hi", None, "a")]


def test_rights() -> None:
    session = make(FakeRights(may_join=frozenset({"a", "b"}), read_only=frozenset({"b"})))
    joined(session, "a", "b")
    assert error(say(session, "join_room", "f", room="c")) == ("forbidden", "f")
    assert error(say(session, "chat_message", "f", room="b", content="x")) == ("forbidden", "f")
    assert error(say(session, "typing", "f", room="b", is_typing=True)) == ("forbidden", "f")
    assert say(session, "chat_message", room="a", content="x") == [Publish("a", "x", None, "a")]


# -- what is refused ---------------------------------------------------------------------------------------


def test_twenty_invalid_messages_in_a_row() -> None:
    session = make()
    for _ in range(19):
        assert error(session.receive("{", 0.0, WALL)) == ("invalid_message", None)
    decisions = session.receive("{", 0.0, WALL)
    assert error(decisions) == ("invalid_message", None)
    assert decisions[1:] == [Close(CloseCode.PROTOCOL_VIOLATION, "protocol_violation")]
    assert session.closed
    assert say(session, "ping") == []


@pytest.mark.parametrize(
    "valid", [text("ping"), text("pong"), text("chat_message", room="a", content="not a member")]
)
def test_a_valid_message_starts_the_count_again(valid: str) -> None:
    session = make()
    for _ in range(5):
        for _ in range(19):
            assert len(session.receive(text("nope"), 0.0, WALL)) == 1
        session.receive(valid, 0.0, WALL)
    assert not session.closed


def test_unknown_types_are_named_and_counted() -> None:
    session = make(settings=SessionSettings(max_invalid=2))
    said = reply(say(session, "X", "u"))
    assert said["data"] == {"code": "unknown_type", "message": "Unknown message type: X"}
    assert said["id"] == "u"
    assert isinstance(say(session, "X")[1], Close)


def test_w9_a_binary_message() -> None:
    session = make()
    decisions = session.receive_binary(WALL)
    assert error(decisions) == ("unsupported_data", None)
    assert decisions[1:] == [Close(CloseCode.UNSUPPORTED_DATA, "unsupported_data")]
    assert session.receive_binary(WALL) == []


def test_bytes_that_are_no_utf8_end_the_connection() -> None:
    session = make()
    assert session.receive(b'{"type":"ping"}', 0.0, WALL) != []
    assert session.receive(memoryview(b'{"type":"ping"}'), 0.0, WALL) != []
    assert session.receive(b'{"type":"\xff"}', 0.0, WALL) == [Close(CloseCode.INVALID_PAYLOAD, "not UTF-8")]
    assert session.closed


def test_j10_over_the_rate() -> None:
    session = make(settings=SessionSettings(rate_limit_per_s=10.0, rate_burst=5.0))
    for i in range(5):
        assert reply(say(session, "ping", f"p{i}"))["type"] == "pong"
    said = reply(say(session, "ping", "p5"))
    assert said["data"]["code"] == "rate_limited"
    assert said["id"] == "p5"
    assert 90 <= said["data"]["retry_after_ms"] <= 100
    assert reply(say(session, "ping", now=0.101))["type"] == "pong"
    assert error(session.receive("{", 0.101, WALL)) == ("rate_limited", None)
    assert error(session.receive(text("nope", "n"), 0.101, WALL)) == ("rate_limited", "n")
    assert error(session.receive(text("ping", "long", x="x" * 5_000), 0.101, WALL)) == ("rate_limited", None)


def test_j10_on_and_on_over_the_rate() -> None:
    session = make(settings=SessionSettings(rate_limit_per_s=10.0, rate_burst=5.0, max_refused=3))
    for _ in range(7):
        say(session, "ping")
    decisions = say(session, "ping")
    assert error(decisions)[0] == "rate_limited"
    assert decisions[1:] == [Close(CloseCode.RATE_LIMITED, "rate_limited", 10_000)]


def test_a_pause_that_fills_the_bucket_is_forgiven() -> None:
    session = make(settings=SessionSettings(rate_limit_per_s=10.0, rate_burst=5.0, max_refused=3))
    for burst in range(10):
        for _ in range(7):
            say(session, "ping", now=burst * 0.6)
    assert not session.closed


def test_without_a_limit_nothing_is_refused() -> None:
    session = make(settings=SessionSettings(rate_limit_per_s=None))
    for _ in range(1_000):
        assert reply(say(session, "ping"))["type"] == "pong"


# -- where joins go on -------------------------------------------------------------------------------------


def goes_on_at(decisions: list[Decision]) -> Position | None:
    (found,) = decisions
    assert isinstance(found, Join)
    return found.since


def test_a_position_of_the_handshake_counts_until_its_room_is_joined() -> None:
    session = make()
    position = Position("k3f9", 42)
    session.resume({"a": position})
    for _ in range(2):  # the first one fails: nothing is reported
        assert goes_on_at(say(session, "join_room", room="a")) == position
    session.joined(join("a"))
    assert goes_on_at(say(session, "join_room", room="a")) is None


def test_a_join_that_says_where_it_goes_on_replaces_the_position_of_the_handshake() -> None:
    session = make()
    session.resume({"a": Position("k3f9", 42)})
    said = Position("k3f9", 50)
    assert goes_on_at(say(session, "join_room", room="a", since=str(said))) == said
    session.joined(join("a"))
    assert goes_on_at(say(session, "join_room", room="a")) is None


# -- heartbeats --------------------------------------------------------------------------------------------


def test_v2_asks_three_times() -> None:
    session = make()
    for at in (30.0, 60.0, 90.0):
        assert session.due(at - 1, WALL + at - 1) == at
        assert reply(session.tick(at, WALL + at))["type"] == "ping"
        if at < 90:
            assert session.tick(at + 10, WALL + at + 10) == []
    assert session.tick(100.0, WALL + 100) == [Close(CloseCode.HEARTBEAT_TIMEOUT, "heartbeat_timeout", 0)]
    assert session.due(100.0, WALL) == inf
    assert session.tick(200.0, WALL) == []


def dies_after(session: Session, say_at: Callable[[float], object], *, asked: str) -> bool:
    """Whether one heartbeat, of what `asked` names, is a miss when `say_at(now)` is all that is heard."""
    asking = session.due(0.0, WALL)
    said = session.tick(asking, WALL)
    assert (said == [SendPing()]) if asked == "frame" else (reply(said)["type"] == "ping")
    say_at(asking)
    at = session.due(asking, WALL)
    return session.tick(at, WALL) == [Close(CloseCode.HEARTBEAT_TIMEOUT, "heartbeat_timeout", 0)]


MESSAGES: dict[str, Callable[[Session, float], object]] = {
    "pong": lambda session, now: session.receive(text("pong"), now, WALL),
    "ping": lambda session, now: session.receive(text("ping"), now, WALL),
    "one that is refused": lambda session, now: session.receive(
        text("chat_message", room="a", content="x"), now, WALL
    ),
    "one that waits": lambda session, _now: session.message_waits(),
    "one over the rate": lambda session, now: [session.receive(text("ping"), now, WALL) for _ in range(3)],
}
OTHERS: dict[str, Callable[[Session, float], object]] = {
    "nothing": lambda _session, _now: None,
    "a control frame": lambda session, _now: session.no_message(),
    "not JSON": lambda session, now: session.receive("pong", now, WALL),
    "an unknown type": lambda session, now: session.receive(text("PONG"), now, WALL),
    "a message without a field": lambda session, now: session.receive(text("join_room"), now, WALL),
}


@pytest.mark.parametrize("said", [*MESSAGES, *OTHERS])
def test_v2_asks_for_a_message(said: str) -> None:
    session = make(settings=SessionSettings(max_misses=1, rate_limit_per_s=1.0, rate_burst=1.0))
    say_it = (MESSAGES | OTHERS)[said]
    assert dies_after(session, lambda now: say_it(session, now), asked="message") is (said in OTHERS)


@pytest.mark.parametrize("said", [*MESSAGES, *OTHERS])
def test_v1_takes_whatever_it_hears(said: str) -> None:
    session = make(
        heartbeat=HeartbeatMode.CLIENT, settings=SessionSettings(rate_limit_per_s=1.0, rate_burst=1.0)
    )
    say_it = (MESSAGES | OTHERS)[said]
    assert dies_after(session, lambda now: say_it(session, now), asked="frame") is (said == "nothing")


def test_v2_the_answers_of_an_hour() -> None:
    session = make(settings=SessionSettings(max_misses=1, ping_interval_s=30))
    for at in range(30, 3_500, 30):
        assert reply(session.tick(at, WALL))["type"] == "ping"
        session.receive(text("pong"), at, WALL)
        assert session.tick(at + 10, WALL) == []


def test_the_ping_of_v2_on_the_wire() -> None:
    assert reply(make().tick(30.0, WALL)) == {"type": "ping", "timestamp": "1970-01-12T13:46:40.000Z"}


def test_v1_sends_frames_and_one_miss_is_enough() -> None:
    session = make(heartbeat=HeartbeatMode.CLIENT)
    assert session.tick(20.0, WALL) == [SendPing()]
    session.no_message()
    assert session.tick(40.0, WALL) == [SendPing()]
    assert session.tick(60.0, WALL) == [Close(CloseCode.HEARTBEAT_TIMEOUT, "heartbeat_timeout", 0)]


# -- the token ---------------------------------------------------------------------------------------------


def test_a_token_that_ends() -> None:
    session = make(settings=SessionSettings(ping_interval_s=1e9))
    assert session.due(0.0, WALL) == 3540.0
    said = reply(session.tick(3540.0, WALL + 3540))
    assert (said["type"], said["data"]) == ("token_expiring", {"expires_at": "1970-01-12T14:46:40.000Z"})
    assert session.tick(3541.0, WALL + 3541) == []
    assert session.due(3541.0, WALL + 3541) == 3625.0
    assert reply(say(session, "ping", now=3600))["type"] == "pong", "it goes on for the grace period"
    assert session.tick(3625.0, WALL + 3625) == [Close(CloseCode.TOKEN_EXPIRED, "token_expired", 0)]


def test_both_a_heartbeat_and_a_notice() -> None:
    session = make(FakeRights(expires_at=WALL + 60))
    decisions = session.tick(30.0, WALL + 30)
    assert [json.loads(d.text)["type"] for d in decisions if isinstance(d, Reply)] == [
        "token_expiring",
        "ping",
    ]


def test_refresh() -> None:
    session = joined(
        make(FakeRights(expires_at=WALL + 100), settings=SessionSettings(ping_interval_s=1e9)), "a"
    )
    assert say(session, "refresh", "r", token="t") == [CheckToken("t", "r")]
    said = reply(session.refreshed(FakeRights(expires_at=WALL + 7200), "r", WALL))
    assert said == {
        "type": "refreshed",
        "id": "r",
        "timestamp": "1970-01-12T13:46:40.000Z",
        "data": {"expires_at": "1970-01-12T15:46:40.000Z"},
    }
    assert session.due(0.0, WALL) == 7140.0
    assert session.tick(200.0, WALL + 200) == []
    assert say(session, "chat_message", room="a", content="x") == [Publish("a", "x", None, "a")]


def test_a_refresh_that_takes_rights_away() -> None:
    session = joined(make(), "a", "b", "c")
    fewer = FakeRights(may_join=frozenset({"b", "c"}), read_only=frozenset({"c"}))
    decisions = session.refreshed(fewer, None, WALL)
    assert reply(decisions)["type"] == "refreshed"
    assert decisions[1:] == [Leave("a", None, "a")]
    assert error(say(session, "chat_message", room="a", content="x"))[0] == "not_in_room"
    assert error(say(session, "join_room", room="a"))[0] == "forbidden"
    assert say(session, "chat_message", room="b", content="x") == [Publish("b", "x", None, "b")]
    assert error(say(session, "chat_message", room="c", content="x"))[0] == "forbidden"


def test_a_refresh_that_gives_rights() -> None:
    session = joined(make(FakeRights(read_only=frozenset({"a"}))), "a")
    session.refreshed(FakeRights(), None, WALL)
    assert say(session, "chat_message", room="a", content="x") == [Publish("a", "x", None, "a")]


def test_t14_the_token_of_somebody_else() -> None:
    session = make(FakeRights(expires_at=WALL + 100))
    assert error(session.refreshed(FakeRights(user_id="8", expires_at=WALL + 9_000), "r", WALL)) == (
        "invalid_token",
        "r",
    )
    assert error(session.refresh_failed("r", WALL)) == ("invalid_token", "r")
    assert session.rights.expires_at == WALL + 100
    assert session.tick(125.0, WALL + 125) == [Close(CloseCode.TOKEN_EXPIRED, "token_expired", 0)]


def test_decisions_do_not_print_tokens() -> None:
    assert "secret" not in repr(say(make(), "refresh", token="secret"))
