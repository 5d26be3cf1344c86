from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rtcli.load.results.kinds import KINDS
from rtcli.load.results.model import Violation
from rtcli.load.results.quotas import choose, share_out


def test_every_kind_gets_a_share_and_the_rest_goes_to_who_needs_it() -> None:
    assert share_out({"duplicate": 1000, "lost": 3}, 200) == {"lost": 3, "duplicate": 197}
    assert share_out({"duplicate": 1000, "lost": 1000, "absent": 2}, 201) == {
        "absent": 2,
        "lost": 100,
        "duplicate": 99,
    }
    assert share_out({"duplicate": 5, "lost": 5}, 1) == {"lost": 1, "duplicate": 0}
    assert share_out({}, 200) == {}


@given(st.dictionaries(st.sampled_from(sorted(KINDS)), st.integers(1, 300)), st.integers(0, 500))
def test_shares_are_as_large_as_they_can_be_and_fair(found: dict[str, int], total: int) -> None:
    shares = share_out(found, total)
    assert sum(shares.values()) == min(total, sum(found.values()))
    assert all(shares[kind] <= found[kind] for kind in found)
    cut = [shares[kind] for kind in found if shares[kind] < found[kind]]
    assert all(shares[kind] <= min(cut, default=total) + 1 for kind in found)
    assert list(shares) == [kind for kind in KINDS if kind in found]


def test_the_first_of_each_kind_are_chosen_the_worst_kinds_first() -> None:
    def violation(kind: str, sent: float) -> Violation:
        return Violation(kind, "hall", "writer 1", 1, "reader 1", sent=sent)

    found = [violation("duplicate", 3.0), *(violation("lost", at) for at in (5.0, 1.0, 2.0))]
    chosen = [(it.kind, it.sent) for it in choose(found, 3)]
    assert chosen == [
        ("lost", 1.0),
        ("lost", 2.0),
        ("duplicate", 3.0),
    ]
    assert choose(found, 0) == []
