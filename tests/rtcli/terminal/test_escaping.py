from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.terminal.escaping import escape, escape_json, json_text

DANGEROUS = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    "\u202e",
    "\u2066",
    "\u200f",
    "\u2028",
    "\ud800",
]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, über 日本語 🎉", "plain text, über 日本語 🎉"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("\x1b]52;c;ZXZpbA==\x07", "\\x1b]52;c;ZXZpbA==\\x07"),
        ("one\ntwo\r\tthree", "one\\ntwo\\r\\tthree"),
        ("\x9b31m\x7f\x00", "\\x9b31m\\x7f\\x00"),
        ("evil\u202egnp.exe", "evil\\u202egnp.exe"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
    ],
)
def test_what_could_move_a_terminal_is_made_visible(text: str, shown: str) -> None:
    assert escape(text) == shown


@given(st.text() | st.sampled_from(DANGEROUS))
def test_nothing_dangerous_is_ever_left(text: str) -> None:
    shown = escape(text)
    assert not any(character in shown for character in DANGEROUS)
    assert escape(shown) == shown
    shown.encode()


def test_talk_can_be_cut() -> None:
    assert escape("x" * 100_000, limit=10) == "x" * 10 + "…"
    assert escape("x" * 10, limit=10) == "x" * 10


@given(st.dictionaries(st.text(), st.text() | st.integers(-(2**60), 2**60) | st.none()))
def test_a_record_is_one_safe_line_with_its_value_kept(record: dict[str, object]) -> None:
    text = json_text(record)
    assert not any(character in text for character in DANGEROUS)
    assert msgspec.json.decode(text) == record


def test_json_keeps_its_value_when_it_is_made_safe() -> None:
    text = '{"a":"\u202e\x9b"}'
    assert escape_json(text) == '{"a":"\\u202e\\u009b"}'
    assert msgspec.json.decode(escape_json(text)) == msgspec.json.decode(text)
