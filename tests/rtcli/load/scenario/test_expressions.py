"""Text with ${...}: how it renders, and which mistakes are found when it is parsed."""

from __future__ import annotations

import contextlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.load.scenario.expression_parser import ExpressionError, parse_template
from rtcli.load.scenario.expressions import FUNCTIONS, MissingDataError, RoomTemplate, render_tree

SCOPE = {
    "room": "a-7",
    "user": {"number": 43, "name": "ann"},
    "rows": ["x", {"y": 2.5}],
    "flag": True,
    "none": None,
}


def render(text: str, seed: int = 1) -> str:
    return parse_template(text).render(SCOPE, Random(seed))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("${room}", "a-7"),
        ("<${room}|${user.name}>", "<a-7|ann>"),
        ("${ room }", "a-7"),
        ("${rows.0} ${rows.1.y}", "x 2.5"),
        ("room-${mod(user.number, 20)}", "room-3"),
        ("${add(user.number, 1)}", "44"),
        ("${add(1.5, 1.5)}", "3"),
        ("${pad(user.number, 6)}", "000043"),
        ("${upper(room)}${lower('X')}", "A-7x"),
        ("${pick('only')}", "only"),
        ("${int(5, 5)}", "5"),
        ("${upper(pad(mod(7, 4), 3))}", "003"),
        ("${flag}${none}", "true"),
        ("$$ costs $5 and $${room}", "$ costs $5 and ${room}"),
        ("100%", "100%"),
        ("$", "$"),
    ],
)
def test_renders(text: str, expected: str) -> None:
    assert render(text) == expected


@pytest.mark.parametrize(
    ("text", "expected", "offset"),
    [
        ("${", "no closing }", 2),
        ("${}", "expected a name before '}'", 2),
        ("${room", "no closing }", 6),
        ("${room name}", "expected } instead of 'name'", 7),
        ("ab ${x(}", "no function 'x'", 5),
        ("${mod(1}", "expected ',' or ')' instead of '}'", 7),
        ("${mod(1, 2, 3)}", "3 arguments do not fit mod", 2),
        ("${uuid(1)}", "1 arguments do not fit uuid", 2),
        ("${__import__('os')}", "no function '__import__'", 2),
        ("${a.b[0]}", "expected a name, a number or '}'", 5),
        ("${'open}", "expected a name, a number or '}'", 2),
        ("${" + "upper(" * 30 + "'x'" + ")" * 30 + "}", "too deeply nested", None),
    ],
)
def test_mistakes_are_found_while_parsing(text: str, expected: str, offset: int | None) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_template(text)
    assert expected in str(caught.value)
    if offset is not None:
        assert caught.value.offset == offset


@pytest.mark.parametrize(
    "text", ["${nobody}", "${user.age}", "${rows.9}", "${room.x}", "${mod(room, 2)}", "${mod(1, 0)}"]
)
def test_missing_data_is_an_error(text: str) -> None:
    with pytest.raises(MissingDataError):
        render(text)


def test_a_template_knows_its_paths() -> None:
    template = parse_template("a ${room} ${mod(user.number, pad(x.y, 2))} ${room}")
    assert list(template.paths) == [("room",), ("user", "number"), ("x", "y"), ("room",)]
    assert template.constant is None
    assert parse_template("it costs $$5").constant == "it costs $5"
    assert str(template).startswith("a ${room}")


def test_randomness_comes_from_the_generator_alone() -> None:
    text = "${uuid()} ${int(1, 1000000)} ${pick('a', 'b', 'c')}"
    assert render(text, 3) == render(text, 3)
    assert render(text, 3) != render(text, 4)


@pytest.mark.parametrize(
    ("text", "constant", "rendered"),
    [
        ("Cafe\u0301 # 1", "Café # 1", "Café # 1"),
        ("Cafe\u0301 ${room}", None, "Café a-7"),
        ("${'e'}\u0301", None, "é"),  # only the whole is what has a normal form
        ("lobby", "lobby", "lobby"),
    ],
)
def test_the_name_of_a_room_is_nfc(text: str, constant: str | None, rendered: str) -> None:
    parsed = parse_template(text)
    room = RoomTemplate(parsed.source, parsed.parts)
    assert (room.constant, room.render(SCOPE, Random(1)), str(room)) == (constant, rendered, text)


def test_a_tree_is_rendered_where_it_has_templates() -> None:
    tree = {"to": parse_template("${room}"), "n": 1, "all": (parse_template("${user.name}"), ["x", None])}
    assert render_tree(tree, SCOPE, Random(1)) == {"to": "a-7", "n": 1, "all": ["ann", ["x", None]]}


def test_every_function_says_what_it_does() -> None:
    assert all(function.help.startswith(name) for name, function in FUNCTIONS.items())


@given(st.text("${}()',. ab1user_mod-", max_size=60))
def test_any_text_is_a_template_or_the_documented_error(text: str) -> None:
    try:
        template = parse_template(text)
    except ExpressionError:
        return
    with contextlib.suppress(MissingDataError):
        assert isinstance(template.render(SCOPE, Random(1)), str)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("/chat?as=${x}", "a/b?c#d%2F e", "/chat?as=a%2Fb%3Fc%23d%252F%20e"),
        ("/rooms/${x}/messages", "\u00e4\u2603", "/rooms/%C3%A4%E2%98%83/messages"),
        ("/rooms/${x}", "\ud800", "/rooms/%3F"),
        ("/a b#c?d=[1]&e=%20", "", "/a%20b%23c?d=[1]&e=%20"),
        ("${x}", "/a/b?c=d&e=%20", "/a/b?c=d&e=%20"),
        ("${x}", "//other.example/a b", "//other.example/a%20b"),
        ("${x}", "http://other.example/", "/http://other.example/"),
        ("chat", "", "/chat"),
        ("@other.example/", "", "/@other.example/"),
        (".other.example/", "", "/.other.example/"),
        (":1@other.example/", "", "/:1@other.example/"),
        ("\\\\other.example\\x", "", "/%5C%5Cother.example%5Cx"),
        ("/x\r\nHost: other.example", "", "/x%0D%0AHost:%20other.example"),
    ],
)
def test_a_path_is_encoded_and_begins_with_a_slash(text: str, value: str, expected: str) -> None:
    assert parse_template(text).render_path({"x": value}, Random(1)) == expected


@given(st.text(), st.text())
def test_no_value_leaves_its_segment_or_names_a_host(start: str, value: str) -> None:
    text = start.replace("$", "$$")
    path = parse_template(f"{text}/${{x}}/end").render_path({"x": value}, Random(1))
    assert path.startswith("/")
    assert path.isascii()
    assert path.isprintable()
    assert not {" ", "\\", "#"} & set(path)
    alone = parse_template("/${x}/end").render_path({"x": value}, Random(1))
    assert alone.count("/") == 2
    assert "?" not in alone
