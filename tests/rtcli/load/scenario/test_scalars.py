"""Short notations in scenarios: rows of data that are generated, and numbers of words."""

from __future__ import annotations

from rtcli.load.scenario.grammar.scalars import generate_rows, parse_words


def test_generated_rows() -> None:
    assert generate_rows("room-{1..3}") == ("room-1", "room-2", "room-3")
    assert generate_rows("{08..10}x") == ("08x", "09x", "10x")
    assert generate_rows("{1..2}-{1..2}") == ("1-1", "1-2", "2-1", "2-2")
    assert parse_words("12") == (12, 12)
