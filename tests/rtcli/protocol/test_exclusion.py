"""Who does not get a publication: limits, and what stands in a store."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.protocol.exclusion import (
    MAX_EXCLUDED,
    MAX_EXCLUSION_BYTES,
    Exclusion,
    InvalidExclusionError,
    decode_exclusion,
    encode_exclusion,
    is_connection_id,
    new_exclusion,
)

names = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=20)


@given(names, names)
def test_what_is_stored_is_read_back(users: list[str], connections: list[str]) -> None:
    exclusion = new_exclusion(users, connections)
    if exclusion is None:
        assert not users
        assert not connections
        return
    stored = encode_exclusion(exclusion)
    assert b"\n" not in stored
    assert decode_exclusion(stored) == exclusion
    assert encode_exclusion(decode_exclusion(stored)) == stored


def test_it_covers_a_user_and_a_connection_each_by_its_own_name() -> None:
    exclusion = Exclusion(frozenset({"7", "a"}), frozenset({"c-1"}))
    assert exclusion.covers("7", "c-9")
    assert exclusion.covers("8", "c-1")
    assert exclusion.covers("a")
    assert not exclusion.covers("8", "c-9")
    assert not exclusion.covers("c-1", "7")
    assert not exclusion.covers("8")


def test_there_are_not_too_many_nor_too_long() -> None:
    users = [f"u{number}" for number in range(MAX_EXCLUDED)]
    assert new_exclusion(users, []) is not None
    assert new_exclusion(users[1:], ["c"]) is not None
    with pytest.raises(InvalidExclusionError, match="More than 100"):
        new_exclusion(users, ["c"])
    with pytest.raises(InvalidExclusionError, match="bytes"):
        new_exclusion(["x" * MAX_EXCLUSION_BYTES], [])
    with pytest.raises(InvalidExclusionError, match="Not a text"):
        new_exclusion(["\ud800"], [])


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"users":["7"]',
        b'{"users":"7"}',
        b'{"users":[7]}',
        b'{"users":["7"],"rooms":[]}',
        b'{"users":[],"connections":[]}',
        b'{"users":["\xff"]}',
        encode_exclusion(Exclusion(frozenset(map(str, range(101))))),
    ],
)
def test_anything_else_in_a_store_is_refused(stored: bytes) -> None:
    with pytest.raises(InvalidExclusionError):
        decode_exclusion(stored)


@given(st.binary())
def test_any_bytes_are_an_exclusion_or_refused(stored: bytes) -> None:
    try:
        assert decode_exclusion(stored) is not None
    except InvalidExclusionError:
        return


def test_ids_of_connections() -> None:
    assert is_connection_id("0a1b2c3d-0123456789ab")
    for text in ("", "a b", "a" * 65, "é", "a\n"):
        assert not is_connection_id(text)
