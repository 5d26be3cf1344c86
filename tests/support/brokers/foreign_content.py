"""What others may write under the keys of our Redis: messages that are not ours, and damage to a room."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import redis as client

from tests.support.brokers.running import ROOM

FORGED_EVENTS = [
    "x\ndata: {}\n\nevent: ready",
    "x\revent: ready",
    "x y",
    "",
    "x" * 65,
    "ä",
    "ready",
    "heartbeat",
    "gap",
    "closing",
    "error",
    "open",
    "new_message",
]
"""Names of events that nobody may use outside of rooms; `tick` may be used."""

FORGED_OBJECTS = [
    b"",
    b"null",
    b"[1]",
    b"{",
    b"{} ",
    b" {}",
    b'{"a":1}\n',
    b'{"a":NaN}',
    b'{"a":1e400}',
    b'{"a":"\\ud800"}',
    b'{"a":"\xff"}',
    b'{"a":"\\u0000"}',
    b'{"a":1,"a":2}',
    b'{"a":' + b"[" * 20 + b"]" * 20 + b"}",
    b'{"a":' + b"[" * 100_000,
    b'{"a":"' + b"x" * 1_100_000 + b'"}',
]
"""Data that are not one JSON object as the protocol accepts it."""

VALID_MESSAGE = {
    "room": ROOM.removeprefix("room:"),
    "content": "hi",
    "sender_id": 7,
    "sender_name": "Ann",
    "timestamp": "2026-05-01T09:30:00.250Z",
}

FORGED_MESSAGES = [
    {},
    {name: value for name, value in VALID_MESSAGE.items() if name != "content"},
    VALID_MESSAGE | {"room": "other"},
    VALID_MESSAGE | {"room": 7},
    VALID_MESSAGE | {"content": 7},
    VALID_MESSAGE | {"content": ""},
    VALID_MESSAGE | {"content": "x" * 16_385},
    VALID_MESSAGE | {"content": {"a": 1}},
    VALID_MESSAGE | {"sender_id": None},
    VALID_MESSAGE | {"sender_id": 1.5},
    VALID_MESSAGE | {"sender_id": "a\nb"},
    VALID_MESSAGE | {"sender_id": "__proto__"},
    VALID_MESSAGE | {"sender_name": "\u202eAnn"},
    VALID_MESSAGE | {"sender_name": "\u3164"},
    VALID_MESSAGE | {"sender_name": "x" * 129},
    VALID_MESSAGE | {"timestamp": "yesterday"},
    VALID_MESSAGE | {"timestamp": "2026-05-01T09:30:00Z\n"},
    VALID_MESSAGE | {"id": "x" * 65},
    VALID_MESSAGE | {"id": 7},
    VALID_MESSAGE | {"offset": 1},
    VALID_MESSAGE | {"epoch": "aaaa"},
]
"""Objects that are no message of the room; each differs from the valid one in one thing."""

USERS_PUBSUB_CHANNEL = "rt:p:users"

USERS_MESSAGES = [
    b"",
    b"garbage",
    b"user:7",
    b"user:\n1 aaaa-6 1 e\n{}",
    b"user:a\x00\n1 aaaa-6 1 e\n{}",
    b"user:\xff\n1 aaaa-6 1 e\n{}",
    b"user:" + b"7" * 129 + b"\n1 aaaa-6 1 e\n{}",
    b"room:general\n1 aaaa-6 1 e\n{}",
    b"user:7\ngarbage",
    b"user:7\n1 aaaa-6 1 e\n[]",
]
"""What others may publish where the instances hear of all users' channels."""

META, STREAM, PUBSUB_CHANNEL = f"rt:{{{ROOM}}}:m", f"rt:{{{ROOM}}}:s", f"rt:p:{ROOM}"

MESSAGES = [
    b"",
    b"garbage",
    b"{}",
    pickle.dumps({"a": 1}),
    b"\x00" * 100,
    b"2 aaaa-6 1 e\n{}",  # a newer version
    b"1 aaaa-6 1 e",
    b"1 aaaa-06 1 e\n{}",
    b"1 aaaa-99999999999999999999 1 e\n{}",
    b"1 AAAA-6 1 e\n{}",
    b"1 aaaa-6 x e\n{}",
    b"1 aaaa-6 1 \n{}",
    b"1 aaaa-6 1 e\nnot json",
    b"1 aaaa-6 1 e\n[1]",
    b'1 aaaa-6 1 e\n{"a":"\xff"}',
    b'1 aaaa-6 1 e\n{"a":' + b"[" * 100_000,
    b'1 aaaa-6 1 e\n{"a":"' + b"x" * 10_000_000 + b'"}',
]


def no_entry(redis: client.Redis) -> None:
    redis.delete(STREAM)


def entry_of_others(redis: client.Redis) -> None:
    redis.xadd(STREAM, {"something": "else"}, id="6-0")


def entry_of_another_shape(redis: client.Redis) -> None:
    redis.xadd(STREAM, {"something": "else"}, id="5-7")


def entry_far_ahead(redis: client.Redis) -> None:
    redis.xadd(STREAM, {"something": "else"})


def stream_is_a_string(redis: client.Redis) -> None:
    redis.set(STREAM, "x")


def state_is_a_list(redis: client.Redis) -> None:
    redis.delete(META)
    redis.rpush(META, "x")


def state_is_gone(redis: client.Redis) -> None:
    redis.delete(META)


def state_field(name: str, value: str) -> Callable[[client.Redis], None]:
    def change(redis: client.Redis) -> None:
        redis.hset(META, name, value)

    change.__name__ = f"{name}_is_{value}"
    return change


DAMAGE = [
    (no_entry, False),
    (entry_of_another_shape, False),
    (entry_of_others, True),
    (entry_far_ahead, True),
    (stream_is_a_string, True),
    (state_is_a_list, True),
    (state_is_gone, True),
    (state_field("epoch", "NOT!"), True),
    (state_field("epoch", ""), True),
    (state_field("top", "nan"), True),
    (state_field("top", "-1"), True),
    (state_field("top", "1e300"), True),
    (state_field("top", "3"), True),  # as after a failover to a replica that was behind
    (state_field("bytes", "x"), True),
]
