"""The list of revocations: what it covers, until when, and how large it may become."""

from __future__ import annotations

import tracemalloc
import uuid

import pytest

from rtcli_server.auth import revocations
from rtcli_server.auth.claims import Principal
from rtcli_server.auth.revocations import (
    MAX_LISTED,
    MAX_REVOCATIONS,
    Revocation,
    RevocationKind,
    RevokedTokens,
)

NOW_MS = 1_800_000_000_000
TOKEN, USER, AWAY = RevocationKind.TOKEN, RevocationKind.USER, RevocationKind.AWAY
HOUR_MS = 3_600_000


class Clock:
    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def revoked(clock: Clock) -> RevokedTokens:
    return RevokedTokens(clock)


def holder(user_id: str = "7", token_id: str | None = None, issued_s: float | None = None) -> Principal:
    """Whoever has a token that was issued `issued_s` seconds after NOW."""
    issued_at = None if issued_s is None else NOW_MS / 1000 + issued_s
    return Principal(user_id, "Ann", NOW_MS / 1000 + 60, token_id=token_id, issued_at=issued_at)


def test_nothing_is_revoked_at_first(revoked: RevokedTokens) -> None:
    assert not revoked.covers(holder(token_id="a", issued_s=-5))
    assert not revoked.is_away("7")
    assert list(revoked) == []
    assert len(revoked) == 0


def test_a_token_by_its_name(revoked: RevokedTokens) -> None:
    assert revoked.add(Revocation(TOKEN, "a", NOW_MS + HOUR_MS))
    assert revoked.covers(holder(token_id="a"))
    assert revoked.covers(holder("8", token_id="a")), "a name is of one token, whoever has it"
    assert not revoked.covers(holder(token_id="b"))
    assert not revoked.covers(holder("a")), "a user of that name is not meant"
    assert not revoked.is_away("a")


@pytest.mark.parametrize(
    ("issued_s", "covered"),
    [(None, True), (-60.0, True), (-0.001, True), (0.0, False), (0.5, False), (5.0, False)],
)
def test_what_a_user_got_before_a_time(
    revoked: RevokedTokens, issued_s: float | None, *, covered: bool
) -> None:
    revoked.add(Revocation(USER, "7", NOW_MS + HOUR_MS, before_ms=NOW_MS))
    assert revoked.covers(holder(issued_s=issued_s)) is covered
    assert not revoked.covers(holder("8", issued_s=issued_s))
    assert not revoked.covers(holder("8", token_id="7", issued_s=issued_s))


def test_a_user_who_has_to_stay_away_keeps_its_tokens(revoked: RevokedTokens, clock: Clock) -> None:
    revoked.add(Revocation(AWAY, "7", NOW_MS + 600_000))
    assert revoked.is_away("7")
    assert not revoked.is_away("8")
    assert not revoked.covers(holder(issued_s=-60))
    clock.now_ms += 600_000
    assert not revoked.is_away("7")


@pytest.mark.parametrize("kind", RevocationKind)
def test_it_holds_until_its_time(revoked: RevokedTokens, clock: Clock, kind: RevocationKind) -> None:
    revoked.add(Revocation(kind, "7", NOW_MS + 1_000, before_ms=NOW_MS if kind is USER else 0))
    somebody = holder(token_id="7", issued_s=-1)
    clock.now_ms += 999
    assert revoked.covers(somebody) or revoked.is_away("7")
    assert len(list(revoked)) == 1
    clock.now_ms += 1
    assert not revoked.covers(somebody)
    assert not revoked.is_away("7")
    assert list(revoked) == []


def test_two_about_the_same_are_one_that_says_what_either_says(revoked: RevokedTokens) -> None:
    early = Revocation(USER, "7", NOW_MS + 9_000, before_ms=NOW_MS - 60_000)
    late = Revocation(USER, "7", NOW_MS + 1_000, before_ms=NOW_MS)
    both = Revocation(USER, "7", NOW_MS + 9_000, before_ms=NOW_MS)
    assert early.merged(late) == late.merged(early) == both
    for one, other in ((early, late), (late, early)):
        revoked.add(one)
        assert revoked.has(one)
        revoked.add(other)
        assert list(revoked) == [both]
        assert revoked.has(one)
        assert revoked.has(other)
        assert revoked.has(both)
    assert not revoked.has(Revocation(USER, "7", NOW_MS + 9_001, before_ms=NOW_MS))
    assert not revoked.has(Revocation(USER, "7", NOW_MS + 9_000, before_ms=NOW_MS + 1))
    assert not revoked.has(Revocation(AWAY, "7", NOW_MS))


def test_one_is_taken_out_unless_it_was_extended(revoked: RevokedTokens) -> None:
    first = revoked.add(Revocation(TOKEN, "a", NOW_MS + 1_000))
    second = revoked.add(Revocation(TOKEN, "a", NOW_MS + HOUR_MS))
    assert first is not None
    assert second is not None
    revoked.discard(first)
    assert list(revoked) == [second]
    revoked.discard(second)
    revoked.discard(second)
    assert list(revoked) == []


def is_full(revoked: RevokedTokens) -> bool:
    """Ask each time: the answer changes with the time."""
    return revoked.full


def test_it_is_full_at_its_limit_and_not_when_some_are_over(
    revoked: RevokedTokens, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "MAX_REVOCATIONS", 10)
    monkeypatch.setattr(revocations, "MAX_LISTED", 12)
    for number in range(10):
        assert not is_full(revoked)
        assert revoked.add(Revocation(TOKEN, f"t{number}", NOW_MS + 1_000 + number))
    assert is_full(revoked)
    assert revoked.add(Revocation(TOKEN, "from another instance", NOW_MS + HOUR_MS))
    assert revoked.add(Revocation(USER, "7", NOW_MS + HOUR_MS, before_ms=NOW_MS))
    assert not revoked.add(Revocation(TOKEN, "too many", NOW_MS + HOUR_MS))
    assert not revoked.covers(holder("8", token_id="too many"))
    assert revoked.add(Revocation(TOKEN, "t0", NOW_MS + HOUR_MS)), "one that is there is extended"
    assert len(revoked) == 12
    clock.now_ms += 5_000
    assert not is_full(revoked)
    assert len(revoked) == 3, "those that are over are not kept"
    assert revoked.add(Revocation(TOKEN, "too many", NOW_MS + HOUR_MS))


def test_those_that_are_over_go_without_anybody_asking(revoked: RevokedTokens, clock: Clock) -> None:
    """A server on which tokens are revoked for ever, each for a moment."""
    for number in range(20_000):
        clock.now_ms += 10_000
        revoked.add(Revocation(TOKEN, f"t{number}", clock.now_ms + 1_000))
        assert len(revoked) <= 1_000


@pytest.mark.parametrize("ahead_ms", [HOUR_MS, -HOUR_MS])
def test_a_clock_that_was_wrong_for_a_while_forgets_nothing(
    revoked: RevokedTokens, clock: Clock, ahead_ms: int
) -> None:
    revoked.add(Revocation(TOKEN, "stolen", NOW_MS + 1_000))
    clock.now_ms += ahead_ms
    for number in range(1_100):  # so many that it is looked through
        revoked.add(Revocation(TOKEN, f"t{number}", clock.now_ms + 1_000))
    clock.now_ms -= ahead_ms
    assert revoked.covers(holder(token_id="stolen"))


def test_a_full_list_has_room_again_after_the_clock_was_set_back(
    revoked: RevokedTokens, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "MAX_REVOCATIONS", 2)
    for name, until_ms in (("a", NOW_MS + 500), ("b", NOW_MS + 2 * HOUR_MS)):
        revoked.add(Revocation(TOKEN, name, until_ms))
    clock.now_ms += HOUR_MS
    assert not is_full(revoked)
    revoked.add(Revocation(TOKEN, "c", NOW_MS + 700))
    clock.now_ms = NOW_MS + 1_000
    assert not is_full(revoked)


def test_a_full_list_is_as_large_as_it_says(clock: Clock) -> None:
    """With names like those that issuers give: a tenth of it is measured."""
    revoked = RevokedTokens(clock)
    names = [str(uuid.uuid4()) for _ in range(MAX_LISTED // 10)]
    tracemalloc.start()
    try:
        for name in names:
            revoked.add(Revocation(TOKEN, str(name.encode(), "ascii"), NOW_MS + HOUR_MS))
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(revoked) == MAX_LISTED // 10
    assert size * 10 < 25_000_000
    assert MAX_LISTED > MAX_REVOCATIONS, "what two instances take at the same time is kept"


def test_a_full_list_is_looked_through_once_a_second(
    revoked: RevokedTokens, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look costs milliseconds, and a neighbour may put into the store what it likes."""
    monkeypatch.setattr(revocations, "MAX_REVOCATIONS", 2)
    for name, until_ms in (("a", NOW_MS + 500), ("b", NOW_MS + HOUR_MS)):
        revoked.add(Revocation(TOKEN, name, until_ms))
    assert revoked.full
    clock.now_ms += 600
    assert revoked.full
    clock.now_ms += 500
    assert not revoked.full
