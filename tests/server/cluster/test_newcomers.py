"""Who may still turn out to be one too many, in the order of their coming."""

from __future__ import annotations

from rtcli_server.cluster.newcomers import Newcomers


def test_a_newcomer_is_judged_once_and_then_on_probation_for_its_time() -> None:
    newcomers = Newcomers(10.0)
    for name in ("a", "b", "c"):
        newcomers.add("7", name)
    newcomers.add("8", "x")
    newcomers.judge("7", ["a", "b"], now=0.0)
    assert newcomers.unjudged("7") == ["c"]
    assert newcomers.on_probation("7", 9.0) == ["a", "b"]
    newcomers.judge("7", ["c"], now=5.0)
    newcomers.judge("8", ["x"], now=10.0)
    assert newcomers.on_probation("7", 10.0) == ["c"]
    assert newcomers.on_probation("7", 20.0) == newcomers.on_probation("8", 20.0) == []


def test_who_is_gone_is_a_newcomer_no_more() -> None:
    newcomers = Newcomers(10.0)
    for name in ("a", "b"):
        newcomers.add("7", name)
    newcomers.judge("7", ["a"], now=0.0)
    for name in ("a", "b", "c"):
        newcomers.remove("7", name)
    newcomers.judge("7", ["a", "b"], now=1.0)
    assert newcomers.unjudged("7") == newcomers.on_probation("7", 1.0) == []
