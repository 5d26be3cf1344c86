"""Files that are not scenarios (row C5 of the bad-input tables): each is refused with one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.load.scenario.loader import ScenarioError, load_scenario, parse_scenario, read_source
from rtcli.load.scenario.model import Scenario
from rtcli.load.scenario.nodes import to_plain
from rtcli.load.scenario.yaml import MAX_DEPTH, MAX_NODES, YamlError, compose
from tests.support.load.scenario_texts import SMALL


def refused(path: Path) -> str:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(str(path))
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ":1:1: empty: a scenario has at least name, phases and roles"),
        (b"# only a comment\n", ":1:1: empty"),
        (b"- a\n- b\n", ":1:1: not a mapping"),
        (b"just text\n", ":1:1: not a mapping"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "not a text file in UTF-8"),
        ("name: caf\u00e9\n".encode("latin-1"), ":1:10: not UTF-8"),
        ("name: x\n".encode("utf-16"), "not a text file in UTF-8"),
        (b"name: a\x07b\n", ":1:8: a control character that YAML does not allow"),
        (b"name: x\nphases: [\n", ":3:1: "),
        (b"name: x\n\tphases: []\n", "indent with spaces, not with tabs"),
        (b"name: x\nname: y\n", "'name' stands here twice (first in line 1)"),
        (b"[a]: x\n", "a key must be a single word"),
        (
            b"name: !!python/object/apply:os.system [ls]\n",
            "tags are not allowed: tag:yaml.org,2002:python/object/apply",
        ),
        (b"name: !local x\n", "tags are not allowed: !local"),
        (b"name: &a [*a]\n", "*a contains itself"),
        (b"name: *nobody\n", "there is no anchor &nobody before this"),
        (b"name: x\n---\nname: y\n", ":2:1: a second document"),
        (b"<<: {name: x}\n", "a scenario has no '<<'"),
        (b"seed: .nan\n", "expected a whole number, got '.nan'"),
        (b"{" * 2_000, "nested more than 32 deep"),
        (b"[" * 200_000, "nested more than 32 deep"),
        (b"a: 1\n" * 30_000, "more than 20000 values"),
        (b"#" * 1_048_577, "larger than 1 MiB"),
        (b'{"name": "x", "phases": ', ":2:1: "),
    ],
)
def test_a_file_that_is_no_scenario_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    text = refused(path)
    assert expected in text
    assert text.startswith(str(path))


def test_a_bomb_of_aliases_is_refused_before_it_grows(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert "aliases count each time they are used" in refused(path)  # at once, not after hours


def test_missing_files_directories_and_unreadable_names(tmp_path: Path) -> None:
    assert refused(tmp_path / "nothing.yaml").endswith(": No such file or directory")
    assert refused(tmp_path).endswith(": it is a directory")
    assert "null byte" in refused(Path("a\0b.yaml"))
    assert "did you mean 'smoke'?" in refused(Path("smok"))
    assert "bundled are: chat-rooms, fanout" in refused(Path("xyz"))


def test_an_endless_device_is_read_up_to_the_limit() -> None:
    with pytest.raises(ScenarioError, match="larger than 1 MiB"):
        read_source("/dev/zero")


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "dos.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert load_scenario(str(path)).roles["reader"].users == 1
    bad = SMALL.replace("users: 1", "users: one").replace("\n", "\r\n")
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(bad, "dos.yaml")
    assert str(caught.value).startswith("dos.yaml:4:20: ")


def test_json_is_yaml() -> None:
    roles = '{"r": {"users": 1, "flow": ["connect", "hold"]}}'
    text = f'{{"name": "x", "phases": [{{"name": "a", "for": "1s"}}], "roles": {roles}}}'
    assert parse_scenario(text).roles["r"].users == 1


def test_anchors_may_be_used() -> None:
    roles = "roles:\n  a: &a { users: 1, flow: [connect, hold] }\n  b: *a\n"
    text = f"name: x\nphases: [{{ name: a, for: 1s }}]\n{roles}"
    both = parse_scenario(text).roles
    assert (both["a"].name, both["b"].name) == ("a", "b")
    assert both["a"].flow == both["b"].flow


def test_the_limits_of_depth_and_size() -> None:
    compose("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    with pytest.raises(YamlError):
        compose("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2))
    compose("- a\n" * (MAX_NODES - 1))
    with pytest.raises(YamlError):
        compose("- a\n" * MAX_NODES)


def test_a_value_that_a_comma_split_is_joined_in_lists_too() -> None:
    node, mistakes = compose("[uniform(1s, 2s), {a: exp(1s, 2s), b: c}]")
    assert not mistakes
    assert node is not None
    assert to_plain(node) == ["uniform(1s, 2s)", {"a": "exp(1s, 2s)", "b": "c"}]


def _is_value_or_documented_error(text: str) -> None:
    try:
        assert isinstance(parse_scenario(text), Scenario)
    except ScenarioError as errors:
        lines = errors.lines()
    else:
        return
    assert lines
    assert all(line.count("\n") == 0 for line in lines)


@given(st.text())
def test_any_text_is_a_scenario_or_the_documented_error(text: str) -> None:
    _is_value_or_documented_error(text)


@given(st.data())
def test_a_damaged_scenario_is_a_scenario_or_the_documented_error(data: st.DataObject) -> None:
    text = read_source(data.draw(st.sampled_from(["smoke", "mixed", "chat-rooms"])))[0]
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(st.text("{}[]:,'\"$&*!#->|% \n1sax(.", max_size=6)) + text[end:]
    _is_value_or_documented_error(text)
