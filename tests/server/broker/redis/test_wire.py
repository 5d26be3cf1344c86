"""What the Redis log reads: right, or refused as foreign."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from redis.crc import key_slot

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.broker.redis.wire import (
    Names,
    offset_of,
    parse_answer,
    parse_entry,
    parse_message,
    parse_page,
)
from rtcli_server.broker.validation import ForeignDataError
from tests.support.protocol.room_names import room_names

ENTRY = [b"42-0", [b"e", b"build.done", b"d", b'{"a":1}', b"t", b"1700000000000", b"b", b"107"]]
EXPECTED = Publication("user:a", "k3f9", 42, "build.done", b'{"a":1}', 1_700_000_000_000)

answers = st.recursive(st.none() | st.binary() | st.integers(), st.lists, max_leaves=10)


def test_a_message_and_an_entry_are_the_same_publication() -> None:
    assert parse_message("user:a", b'1 k3f9-42 1700000000000 build.done\n{"a":1}') == EXPECTED
    assert parse_entry("user:a", "k3f9", ENTRY) == EXPECTED
    assert offset_of(ENTRY) == 42


EXCLUSION = b'{"users":["7"],"connections":["c-1"]}'
EXCLUDES = structs.replace(EXPECTED, exclude=Exclusion(frozenset({"7"}), frozenset({"c-1"})))


def test_exclusions_are_read_from_both() -> None:
    message = b'1 k3f9-42 1700000000000 build.done x\n%b\n{"a":1}'
    assert parse_message("user:a", message % EXCLUSION) == EXCLUDES
    entry = [ENTRY[0], [b"E", *ENTRY[1][1:], b"x", EXCLUSION]]
    assert parse_entry("user:a", "k3f9", entry) == EXCLUDES


@pytest.mark.parametrize("exclusion", [b"", b"{}", b"[]", b"x", b'{"users":[7]}', b"\xff", b'{"a":1}'])
def test_exclusions_that_cannot_be_read_hide_the_whole(exclusion: bytes) -> None:
    """Otherwise somebody would get what is not for them."""
    with pytest.raises(ForeignDataError):
        parse_message("user:a", b'1 k3f9-42 1700000000000 build.done x\n%b\n{"a":1}' % exclusion)
    begin = [b"E", *ENTRY[1][1:]]
    for fields in ([*begin, b"x", exclusion], [*begin[:6], b"x", EXCLUSION], [*begin, b"x"], begin):
        with pytest.raises(ForeignDataError):
            parse_entry("user:a", "k3f9", [ENTRY[0], fields])


@given(st.lists(room_names, min_size=2, max_size=2, unique=True))
def test_no_two_rooms_share_a_key_and_the_keys_of_one_share_a_slot(rooms: list[str]) -> None:
    names = Names("rt")
    one, other = [
        [*names.keys(f"room:{room}"), names.of(f"room:{room}", "i"), names.of(f"room:{room}", "u")]
        for room in rooms
    ]
    assert not set(one) & set(other)
    assert len({key_slot(key) for key in one}) == 1
    assert len({names.route(f"room:{room}") for room in rooms}) == 2


def test_answers_are_read() -> None:
    assert parse_answer(b"k3f9-42 0") == (Position("k3f9", 42), False)
    assert parse_answer(b"k3f9-42 1") == (Position("k3f9", 42), True)
    assert parse_page([b"k3f9", b"0", []]) == (Position("k3f9", 0), [])


@given(st.binary() | st.binary().map(lambda data: b"1 k3f9-42 1700000000000 e\n" + data))
def test_any_message_is_a_publication_or_foreign(payload: bytes) -> None:
    try:
        publication = parse_message("user:a", payload)
    except ForeignDataError:
        return
    publication.data.decode()
    assert publication.data.lstrip()[:1] == b"{"


@given(answers)
def test_any_answer_is_read_or_refused(answer: object) -> None:
    for parse in (parse_answer, parse_page):
        with pytest.raises(ForeignDataError):
            parse(answer)


@given(st.lists(answers, min_size=1, max_size=4))
def test_any_entry_is_read_or_refused(entry: list[object]) -> None:
    with pytest.raises(ForeignDataError):
        parse_entry("user:a", "k3f9", entry)
    assert offset_of(entry) is None or isinstance(entry[0], bytes)


@pytest.mark.parametrize("channel", ["room:a", "user:7", "all", "room:Größe&{x}:*", "room:}{"])
def test_keys_of_a_channel_share_a_hash_slot_and_its_name_comes_back(channel: str) -> None:
    from redis.crc import key_slot  # noqa: PLC0415 - redis-py's own reading of the hash tag

    names = Names("rt")
    assert len({key_slot(key) for key in names.keys(channel, "7:c-1")}) == 1
    assert names.pubsub_channel(channel) == b"rt:p:" + channel.encode()
