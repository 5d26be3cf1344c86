from __future__ import annotations

import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.protocol.codes import GapReason
from rtcli.protocol.position import (
    BROADCAST,
    MAX_CURSOR_BYTES,
    MAX_OFFSET,
    InvalidPositionError,
    Position,
    cursor_key,
    format_cursor,
    longest_cursor,
    parse_cursor,
    parse_position,
    recovery_failure,
)
from tests.support.protocol.strategies import positions, rooms

ME = "user:7"
channels = rooms.map("room:{}".format) | st.just(ME) | st.just(BROADCAST)


@given(positions)
def test_a_position_survives_its_text(position: Position) -> None:
    assert parse_position(str(position)) == position


@pytest.mark.parametrize("text", ["k3f9-0", "a1b2c3d4e5f6a7b8-42", f"aaaa-{MAX_OFFSET}", "0000-1"])
def test_positions(text: str) -> None:
    assert str(parse_position(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "abc", "-1", "1-2-3", "+", "-", "$", "(1-1", "0x10", "1e3", " 5", "5 ",
        "k3f9", "k3f9-", "-42", "k3f9--42", "k3f9-+42", "k3f9- 42", "k3f9-42 ", " k3f9-42",
        "k3f9-42\n",
        "k3f9-042", "k3f9-00", "k3f9-4.0", "k3f9-1e3", "k3f9-0x1", "k3f9-١", "K3F9-42", "k3é9-42",
        "abc-42", "a" * 17 + "-42", f"aaaa-{MAX_OFFSET + 1}",
        "k3f9-" + "9" * 19, "k3f9-" + "1" * 31, "k3f9_42",
    ],
)  # fmt: skip
def test_no_positions(text: str) -> None:
    with pytest.raises(InvalidPositionError):
        parse_position(text)


@given(st.dictionaries(channels, positions, min_size=1, max_size=20))
def test_a_cursor_survives_its_text(cursor: dict[str, Position]) -> None:
    text = format_cursor(cursor)
    parsed = parse_cursor(text, user_channel=ME)
    assert parsed == cursor
    assert list(parsed) == list(cursor)
    assert format_cursor(parsed.items()) == text


@given(st.dictionaries(channels, positions, min_size=1, max_size=5))
def test_a_cursor_forces_no_preflight_and_no_new_line(cursor: dict[str, Position]) -> None:
    # Fetch, "CORS-unsafe request-header byte": everything below is outside of that set.
    assert set(format_cursor(cursor)) <= set(string.ascii_letters + string.digits + "_.-~%=,")


def test_a_cursor_names_its_channels() -> None:
    cursor = {
        "room:general": Position("k3f9", 42),
        ME: Position("k3f9", 7),
        "all": Position("k3f9", 12),
        "room:a/é": Position("m111", 1),
    }
    assert format_cursor(cursor) == "general=k3f9-42,~me=k3f9-7,~all=k3f9-12,a%2F%C3%A9=m111-1"


def test_a_cursor_encodes_what_divides_it() -> None:
    text = "a%2Cb%3Dc-1=k3f9-1,100%20%25=k3f9-2,%23%20%C3%A9=k3f9-3"
    names = ["a,b=c-1", "100 %", "# é"]
    assert parse_cursor(text, user_channel=ME) == {
        f"room:{name}": Position("k3f9", offset) for offset, name in enumerate(names, 1)
    }


def test_rooms_of_odd_names_are_still_rooms() -> None:
    for name in ("all", "user:7", "room:x", "me"):
        assert parse_cursor(f"{cursor_key('room:' + name)}=k3f9-1", user_channel=ME) == {
            f"room:{name}": Position("k3f9", 1)
        }


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "a=", "=k3f9-1", "a=k3f9", ",", "a=k3f9-1,", ",a=k3f9-1", "a=k3f9-1,,b=k3f9-1", "a==k3f9-1",
        "a=k3f9-1=", "a=k3f9-1, b=k3f9-1", "a=k3f9-1;b=k3f9-1", "a=k3f9-1,a=k3f9-1", "a=k3f9-1,a=k3f9-2",
        "~=k3f9-1", "~you=k3f9-1", "~Me=k3f9-1", "%7Eme=k3f9-1", "~me=k3f9-1,~me=k3f9-2",
        "é=k3f9-1", "a%=k3f9-1", "a%2=k3f9-1", "a%zz=k3f9-1", "%61=k3f9-1", "a%2f=k3f9-1", "%FF=k3f9-1",
        "%ED%A0%80=k3f9-1", "a%00=k3f9-1", "a%20%20b=k3f9-1", "a%20=k3f9-1", "e%CC%81=k3f9-1", "a b=k3f9-1",
        "a%2c=k3f9-1", "a+b=k3f9-1", "a%3F=k3f9-1", "a#=k3f9-1",
        "a=k3f9-1\n", "a=k3f9-1\0", "a" * 129 + "=k3f9-1", "\ud800=k3f9-1",
    ],
)  # fmt: skip
def test_no_cursors(text: str) -> None:
    with pytest.raises(InvalidPositionError):
        parse_cursor(text, user_channel=ME)


def _cursor_of_size(size: int) -> str:
    parts = [f"r{i:03}=k3f9-1" for i in range(size // 12)]
    text = ",".join(parts)
    return "r" * (size - len(text)) + text  # the first name grows


def test_the_longest_cursor() -> None:
    longest = _cursor_of_size(MAX_CURSOR_BYTES)
    assert len(longest) == MAX_CURSOR_BYTES
    assert len(parse_cursor(longest, user_channel=ME)) == MAX_CURSOR_BYTES // 12
    with pytest.raises(InvalidPositionError):
        parse_cursor(_cursor_of_size(MAX_CURSOR_BYTES + 1), user_channel=ME)


@given(st.lists(channels, min_size=1, max_size=120, unique=True))
def test_what_fits_always_fits(names: list[str]) -> None:
    worst = format_cursor({name: Position("z" * 16, MAX_OFFSET) for name in names})
    size = longest_cursor(names)
    if size is not None:
        assert len(worst) <= size <= MAX_CURSOR_BYTES
    else:
        assert len(worst) + 1 > MAX_CURSOR_BYTES


SINCE = Position("k3f9", 10)


@pytest.mark.parametrize(
    ("since", "top", "offsets", "reason"),
    [
        (SINCE, Position("k3f9", 10), [], None),
        (SINCE, Position("k3f9", 11), [11], None),
        (SINCE, Position("k3f9", 13), [11, 12, 13], None),
        (SINCE, Position("k3f9", 310), list(range(11, 311)), None),
        (SINCE, Position("k3f9", 311), list(range(11, 311)), GapReason.TOO_MANY),
        (SINCE, Position("m111", 10), [], GapReason.EPOCH_CHANGED),
        (SINCE, Position("m111", 5), [], GapReason.EPOCH_CHANGED),
        (SINCE, Position("k3f9", 9), [], GapReason.FUTURE),
        (SINCE, Position("k3f9", 13), [12, 13], GapReason.TRIMMED),
        (SINCE, Position("k3f9", 13), [11, 13], GapReason.TRIMMED),
        (SINCE, Position("k3f9", 13), [11, 12], GapReason.TRIMMED),
        (SINCE, Position("k3f9", 13), [], GapReason.TRIMMED),
        (SINCE, Position("k3f9", 12), [11, 13], GapReason.TRIMMED),
        (SINCE, Position("k3f9", 12), [12, 11], GapReason.TRIMMED),
        (Position("k3f9", 0), Position("k3f9", 0), [], None),
    ],
)
def test_recovery(since: Position, top: Position, offsets: list[int], reason: GapReason | None) -> None:
    assert recovery_failure(since, top, offsets, max_replay=300) is reason


@given(st.integers(0, 20), st.integers(0, 20), st.lists(st.integers(0, 20), max_size=20), st.integers(0, 20))
def test_recovered_means_nothing_is_missing(since: int, top: int, offsets: list[int], most: int) -> None:
    reason = recovery_failure(Position("k3f9", since), Position("k3f9", top), offsets, max_replay=most)
    assert (reason is None) == (top - since in range(most + 1) and offsets == list(range(since + 1, top + 1)))


@pytest.mark.parametrize("parse", [parse_position, lambda text: parse_cursor(text, user_channel=ME)])
def test_the_error_is_a_value_error(parse: Callable[[str], object]) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse("?")
