from __future__ import annotations

import pytest

from rtcli.apps.ws.expectations import Wanted, read_expectations
from rtcli.client.raw.frames import Direction, Kind, Message
from rtcli.errors import CliError


def text(said: str) -> Message:
    return Message(Direction.IN, Kind.TEXT, said.encode())


@pytest.mark.parametrize(
    ("path", "said", "matches"),
    [
        ("type=ok", '{"type":"ok"}', True),
        ("type=ok", '{"type":"okay"}', False),
        ("data.0.n=7", '{"data":[{"n":7}]}', True),
        ("a=true", '{"a":true}', True),
        ("a=null", '{"a":null}', True),
        ("a=x=y", '{"a":"x=y"}', True),
        ("a=1", "not json", False),
        ("a=1", '{"b":1}', False),
        ("a=1", "[" * 5_000, False),
    ],
)
def test_a_value_in_json(path: str, said: str, matches: bool) -> None:
    (expectation,) = read_expectations([], [path])
    assert expectation.matches(text(said)) is matches


@pytest.mark.parametrize("given", ["", "a", "=1"])
def test_what_is_no_path_and_value(given: str) -> None:
    with pytest.raises(CliError, match="is not PATH=VALUE"):
        read_expectations([], [given])


def test_each_expectation_once_in_any_order() -> None:
    wanted = Wanted(read_expectations(["one", "two"], ["a=1"]))
    for said, met in (("two!", False), ("two", False), ('{"a":1}', False), ("one", True)):
        wanted.see(text(said))
        assert (wanted.is_met, wanted.is_over) == (met, met)


def test_a_count_alone_and_as_a_bound() -> None:
    count = Wanted(count=2)
    assert count.is_anything
    count.see(text("a"))
    assert not count.is_over
    assert count.problem == "1 of 2 messages came"
    count.see(text("b"))
    assert count.is_met
    bound = Wanted(read_expectations(["x"], []), count=1)
    bound.see(text("a"))
    assert (bound.is_met, bound.is_over) == (False, True)
    assert bound.problem == "nothing came for --expect 'x'"
    assert not Wanted().is_anything
    assert not Wanted().is_met


def test_a_binary_message_may_be_expected() -> None:
    wanted = Wanted(read_expectations(["pong"], []))
    wanted.see(Message(Direction.IN, Kind.BINARY, b"\xff"))
    assert not wanted.is_met
    wanted.see(Message(Direction.IN, Kind.BINARY, b"pong"))
    assert wanted.is_met
