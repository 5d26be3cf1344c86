from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rtcli.protocol.names import is_blank
from rtcli.protocol.rooms import MAX_ROOM_CHARACTERS, MAX_SENT_CHARACTERS, is_valid_room, nfc, room_of
from tests.support.protocol.room_names import any_texts, room_names, spellings


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "general",
        "a" * 128,
        "é" * 128,
        "../x",
        "a*",
        "{a}",
        ":",
        "_sys",
        "a/b",
        "日本",
        "🎉",
        "❤️",
        "-",
        "...",
        ".a",
        "Board Games",
        "a b c",
        "100 %",
        "C#, F# = 2",
        ",",
        "=",
        "#",
        "%",
        "%20",
        "é, è",
        "Größe = 3 %",
        "葛\U000e0100城",  # with a variation selector of Han
    ],
)
def test_takes(name: str) -> None:
    assert is_valid_room(name)
    assert room_of(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a" * 129,
        "é" * 129,
        *(f"a{c}b" for c in '?"~'),
        *(f"é{c}b" for c in '?"~'),
        " a",
        "a ",
        " ",
        "a  b",
        " é",
        "é ",
        "é  b",
        "a\tb",
        "a\n",
        "é\n",
        "a\u00a0b",  # no-break space
        "a\u2028b",
        "\u3000",
        "a\u3000b",
        "a\x00b",
        "a\x1bb",
        "a\x7fb",
        "a\x85b",
        "a\u200eb",  # left-to-right mark
        "a\u202eb",  # right-to-left override
        "a\u2066b",
        "a\u200bb",  # zero width space
        "a\u200db",  # zero width joiner
        "a\ufeffb",
        "a\u034fb",  # combining grapheme joiner
        "a\u3164b",  # Hangul filler
        "a\u115fb",
        "a\u17b4b",
        "\u3164",
        "\u2800\ufe0f",  # blank Braille pattern
        "\u2800 \u2800",
        "\ufffe",
        "\ud800",
        "\ue000",
        "\u0378",  # unassigned
    ],
)
def test_refuses(name: str) -> None:
    assert not is_valid_room(name)
    assert room_of(name) is None


@pytest.mark.parametrize("name", [None, 5, b"a", ["a"]])
def test_refuses_what_is_no_text(name: object) -> None:
    assert not is_valid_room(name)


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("e\u0301", "é"),
        ("Cafe\u0301 # 1", "Café # 1"),
        ("\u1112\u1161\u11ab", "한"),
        ("\u212b", "Å"),  # the angstrom sign
        ("=\u0338", "≠"),
        ("a\u0323\u0307", "ạ\u0307"),
        ("a\u0307\u0323", "ạ\u0307"),  # marks in the other order
        ("e\u0301" * 128, "é" * 128),
        ("\u1f82" * 128, "\u1f82" * 128),
        (unicodedata.normalize("NFD", "\u1f82") * 128, "\u1f82" * 128),  # 512 characters as it is sent
    ],
)
def test_another_spelling_is_taken_for_its_nfc(sent: str, name: str) -> None:
    assert is_valid_room(name)
    assert nfc(sent) == room_of(sent) == name
    assert is_valid_room(sent) is (sent == name)


@pytest.mark.parametrize(
    "sent",
    ["e\u0301" * 129, "e" + "\u0301" * 600, "e\u0301?", " e\u0301", "\u037e\u200b", "\ud800e\u0301"],
)
def test_another_spelling_of_no_name_is_none(sent: str) -> None:
    assert room_of(sent) is None


def test_what_is_too_long_is_not_normalised() -> None:
    text = "\u0301" * (MAX_SENT_CHARACTERS + 1)
    assert nfc(text) is text


def test_no_name_has_a_longer_spelling_than_is_read() -> None:
    longest = max(
        len(unicodedata.normalize("NFD", character))
        for character in map(chr, range(0x110000))
        if not 0xD800 <= ord(character) <= 0xDFFF
    )
    assert longest * MAX_ROOM_CHARACTERS == MAX_SENT_CHARACTERS


@given(any_texts)
@example("a\n")
@example("\u0344")
def test_every_text_has_one_name_or_none(text: str) -> None:
    room = room_of(text)
    assert is_valid_room(text) is (room == text)
    if room is not None:
        assert room == unicodedata.normalize("NFC", text)
        assert room_of(unicodedata.normalize("NFD", room)) == room
        assert not is_blank(room)
        assert len(room) <= MAX_ROOM_CHARACTERS
        assert room.split() == room.split(" ")
        assert not any(unicodedata.category(character).startswith("C") for character in room)
        assert not set(room) & set('?"~')


@given(room_names.flatmap(lambda name: st.tuples(st.just(name), spellings(name))))
def test_every_spelling_is_that_of_its_room(pair: tuple[str, str]) -> None:
    name, sent = pair
    assume(len(sent) <= MAX_SENT_CHARACTERS)
    assert is_valid_room(name)
    assert room_of(sent) == nfc(sent) == name
