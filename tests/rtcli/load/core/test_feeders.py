"""What data a user gets: its own, repeatable, once or anew; and the files that it comes from."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from rtcli.load.core.feeders import Feeders, UserScope, always
from rtcli.load.scenario.expression_parser import parse_template
from rtcli.load.scenario.expressions import BUILTINS, MissingDataError
from rtcli.load.scenario.grammar.data import DataFileError, read_csv, read_json
from rtcli.load.scenario.loader import parse_scenario
from rtcli.load.scenario.model import Scenario

TEXT = """
name: x
phases: [{ name: a, for: 1s }]
roles:
  one: { users: 2, flow: [connect, { join: "${room}" }, { log: "${seat} ${word} ${say} ${turn}" }, hold] }
  two: { users: 3, flow: [connect, { log: "${seat}" }, hold] }
data:
  room: { gen: "r{1..1000}" }
  seat: { gen: "s{0..4}", pick: unique }
  word: { values: [x, y, z], pick: sequence, each: use }
  say: { lorem: 3..5 }
  turn: { values: [x, y, z], pick: sequence }
"""


@pytest.fixture
def scenario() -> Scenario:
    return parse_scenario(TEXT)


def scope(scenario: Scenario, role: str, index: int, seed: int = 1) -> UserScope:
    return UserScope(
        Feeders(scenario),
        role=role,
        index=index,
        number=index,
        user_id="7",
        name="u",
        run="r",
        rng=always(Random(seed)),
    )


def test_a_user_keeps_its_row(scenario: Scenario) -> None:
    user = scope(scenario, "one", 0)
    assert user["room"] == user["room"]
    assert {str(scope(scenario, "one", 0, seed)["room"]) for seed in range(20)} != {user["room"]}


def test_the_same_user_gets_the_same_whoever_asks_first(scenario: Scenario) -> None:
    assert scope(scenario, "one", 1)["room"] == scope(scenario, "one", 1)["room"]


def test_unique_rows_are_given_once_over_all_roles(scenario: Scenario) -> None:
    users = [("one", 0), ("one", 1), ("two", 0), ("two", 1), ("two", 2)]
    assert [scope(scenario, role, index)["seat"] for role, index in users] == ["s0", "s1", "s2", "s3", "s4"]
    with pytest.raises(MissingDataError, match="only 5 rows"):
        scope(scenario, "two", 3)["seat"]


def test_sequences_go_round(scenario: Scenario) -> None:
    user = scope(scenario, "one", 1)
    assert [user["word"] for _ in range(4)] == ["y", "z", "x", "y"]
    assert [scope(scenario, "one", index)["turn"] for index in range(4)] == ["x", "y", "z", "x"]


def test_made_up_words_are_new_each_time(scenario: Scenario) -> None:
    user = scope(scenario, "one", 0)
    said = {str(user["say"]) for _ in range(10)}
    assert len(said) > 5
    assert all(3 <= len(text.split()) <= 5 for text in said)


def test_every_builtin_name_can_be_used(scenario: Scenario) -> None:
    user = scope(scenario, "two", 0)
    user.phase, user.loop, user.session["x"] = "steady", 3, "y"
    text = parse_template(
        "${role} ${phase} ${loop} ${session.x} ${user.id} ${user.name} ${user.number} ${run}"
    )
    assert text.render(user, Random(1)) == "two steady 3 y 7 u 0 r"
    assert set(BUILTINS) <= set(user)
    assert len(user) == len(BUILTINS) + 5
    assert "nobody" not in user
    with pytest.raises(KeyError):
        user["nobody"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "column names|no rows"),
        (b"a,b\n", "has no rows"),
        (b"a,a\n1,2\n", "column names must differ"),
        (b"a,\n1,2\n", "column names must differ and not be empty"),
        (b"a,b\n1\n", "line 2: expected 2 columns"),
        (b"a,b\n1,2,3\n", "line 2: expected 2 columns"),
        (b'a\n"x\n', "unexpected end of data"),
        (b"a\n\xff\n", "line 2: not UTF-8"),
    ],
)
def test_a_wrong_csv_file_is_refused_with_its_line(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=expected):
        read_csv(path)


def test_csv_as_spreadsheets_write_it(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b'\xef\xbb\xbfname,text\r\n"a ""b""","two\r\nlines"\r\n')
    assert read_csv(path) == ({"name": 'a "b"', "text": "two\r\nlines"},)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"[1", b"nul", b"[" * 100_000])
def test_a_wrong_json_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(DataFileError):
        read_json(path)


def test_missing_files_and_directories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="No such file"):
        read_csv(tmp_path / "x.csv")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DataFileError, match="fifo is not a regular file"):
        read_csv(tmp_path / "fifo")  # nobody writes: reading would never end
    with pytest.raises(DataFileError, match="is a directory"):
        read_json(tmp_path)
