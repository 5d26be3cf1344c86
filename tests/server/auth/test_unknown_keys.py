"""Keys that a JWKS does not have: asked for again when the cooldown is over, then refused."""

from __future__ import annotations

import sys

import pytest

from rtcli_server.auth import unknown_keys
from rtcli_server.auth.unknown_keys import MAX_REMEMBERED, UnknownKeys

COOLDOWN_S = 30.0
KEY, OTHER = ("ES256", "k1"), ("ES256", "k2")


@pytest.fixture
def unknown() -> UnknownKeys:
    return UnknownKeys(COOLDOWN_S)


def test_a_key_may_come_until_the_cooldown_is_over(unknown: UnknownKeys) -> None:
    assert not unknown.refused(KEY, now=100.0, fetched_at=100.0)
    assert not unknown.refused(KEY, now=129.0, fetched_at=129.0)
    assert unknown.refused(KEY, now=130.0, fetched_at=130.0)
    assert unknown.refused(KEY, now=500.0, fetched_at=130.0)


def test_it_is_refused_only_by_a_look_after_that(unknown: UnknownKeys) -> None:
    """Nobody was asked meanwhile: the answer of before says nothing."""
    assert not unknown.refused(KEY, now=100.0, fetched_at=90.0)
    assert not unknown.refused(KEY, now=500.0, fetched_at=90.0)
    assert unknown.refused(KEY, now=500.0, fetched_at=500.0)


def test_each_key_has_its_own_time(unknown: UnknownKeys) -> None:
    unknown.refused(KEY, now=100.0, fetched_at=100.0)
    assert not unknown.refused(OTHER, now=130.0, fetched_at=130.0)
    assert unknown.refused(KEY, now=130.0, fetched_at=130.0)
    assert not unknown.refused(("RS256", "k1"), now=130.0, fetched_at=130.0)


def test_one_that_was_taken_out_is_refused_at_once_and_may_come_back(unknown: UnknownKeys) -> None:
    unknown.withdraw([KEY])
    assert unknown.refused(KEY, now=100.0, fetched_at=100.0)
    unknown.found([KEY, OTHER])
    assert len(unknown) == 0
    assert not unknown.refused(KEY, now=100.0, fetched_at=100.0)


def test_strangers_make_up_keys_and_memory_is_bounded(
    unknown: UnknownKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5 * MAX_REMEMBERED):
        unknown.refused(("ES256", f"{number}" * 500), now=100.0, fetched_at=100.0)
        assert len(unknown) <= MAX_REMEMBERED
    assert sum(map(sys.getsizeof, unknown._due)) < 100 * MAX_REMEMBERED, "no name of a stranger is kept"
    monkeypatch.setattr(unknown_keys, "MAX_REMEMBERED", 10)
    unknown.withdraw([("ES256", f"w{number}") for number in range(100)])
    assert len(unknown) <= MAX_REMEMBERED
