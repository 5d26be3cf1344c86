"""Names of rooms, and other spellings of them, for tests that draw them."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

from rtcli.protocol.rooms import is_valid_room

# What is special in cursors, URLs, keys, patterns, log lines and tables, and what normal forms change.
SPECIAL = ",=#%&+;:/\\|.*{}[]()<>'`^$@!_-abcABC012"
MARKED = "éÅạ̇ǖ한각ẛ≠ñ\u1f82\u0958\u212b\ufb2cｶﾞ"
WIDE = "日本🎉❤\ufe0f葛\U000e0100הש\u0301e\u0301\u0323"

# Names that hold what once was not allowed, and that everything which carries names has to keep apart.
HARD_NAMES = (
    "Board Games",
    "a b c",
    "100 %",
    "100%25",
    "%2C",
    "C#, F# = 2",
    "a,b=c-1",
    "general=k3f9-42",
    "x=1&y=2",
    "é, è = 3 %",
    "한국어 방",
    "a/b, c/d",
    "1 k3f9-42 17 news",
)

_parts = st.text(st.sampled_from(SPECIAL + MARKED + WIDE) | st.characters(), min_size=1, max_size=12)
any_texts = st.text(st.sampled_from(SPECIAL + MARKED + WIDE + ' ?"~\t\n\u200b\u202e\x00') | st.characters())


def _name(parts: list[str]) -> str:
    return unicodedata.normalize("NFC", " ".join(parts))


# Names as they are kept.
room_names = st.sampled_from(HARD_NAMES) | st.lists(_parts, min_size=1, max_size=4).map(_name).filter(
    is_valid_room
)


def spellings(name: str) -> st.SearchStrategy[str]:
    """Texts whose NFC is `name`: each of its characters composed or not."""
    return (
        st.lists(st.booleans(), min_size=len(name), max_size=len(name))
        .map(
            lambda apart: "".join(
                unicodedata.normalize("NFD", character) if decompose else character
                for character, decompose in zip(name, apart, strict=True)
            )
        )
        .filter(lambda text: unicodedata.normalize("NFC", text) == name)
    )


def decomposed(name: str) -> str:
    """The spelling that is furthest from NFC."""
    return unicodedata.normalize("NFD", name)
