from __future__ import annotations

import pytest

from rtcli.protocol.rooms import is_valid_room


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
        ".",
    ],
)
def test_takes(name: str) -> None:
    assert is_valid_room(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 129,
        "é" * 129,
        *(f"a{c}b" for c in ',=#?%"~'),
        "é,",
        " a",
        "a b",
        "a\tb",
        "a\n",
        "a\u00a0b",  # no-break space
        "a\u2028b",
        "\u3000",
        "a\x00b",
        "a\x1bb",
        "a\x7fb",
        "a\x85b",
        "a\u200eb",  # left-to-right mark
        "a\u202eb",  # right-to-left override
        "a\u2066b",
        "a\u200bb",  # zero width space
        "\u3164",  # Hangul filler
        "\u2800\ufe0f",  # blank Braille pattern
        "e\u0301",  # NFD of é
        "\ufffe",
        "\ud800",
        "\ue000",
        None,
        5,
        b"a",
        ["a"],
    ],
)
def test_refuses(name: object) -> None:
    assert not is_valid_room(name)
