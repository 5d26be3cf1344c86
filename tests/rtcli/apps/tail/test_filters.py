from __future__ import annotations

import pytest

from rtcli import StreamEvent
from rtcli.apps.tail.filters import make_filter
from rtcli.errors import CliError, Exit


def event(data: str = "{}", *, kind: str = "message", identifier: str = "") -> StreamEvent:
    return StreamEvent(kind, data, identifier)


def test_filters() -> None:
    everything = make_filter(None, None, None)
    assert everything.accepts(event(kind="anything"))
    some = make_filter(["a", "b"], ["b"], None)
    assert [some.accepts(event(kind=kind)) for kind in "abc"] == [True, False, False]


def test_case_counts_if_the_pattern_has_a_capital() -> None:
    assert make_filter(None, None, "fail").accepts(event("it FAILED"))
    assert not make_filter(None, None, "Fail").accepts(event("it FAILED"))


@pytest.mark.parametrize("pattern", ["(", "[", "*", "(?P<a>x)(?P<a>y)"])
def test_a_bad_pattern(pattern: str) -> None:
    with pytest.raises(CliError) as caught:
        make_filter(None, None, pattern)
    assert caught.value.exit_code == Exit.USAGE
