"""What others may write under the keys of our Redis: messages that are not ours, and damage to a room."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import redis as client

from tests.support.brokers.running import ROOM

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
