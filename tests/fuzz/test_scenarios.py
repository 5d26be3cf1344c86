"""For any content of a scenario file, the loader returns a scenario or raises `ScenarioError`."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtcli.load.scenario.loader import (
    ScenarioError,
    bundled_folder,
    bundled_names,
    load_scenario,
    parse_scenario,
)
from rtcli.load.scenario.model import Scenario

BUNDLED = [(bundled_folder() / f"{name}.yaml").read_text(encoding="utf-8") for name in bundled_names()]
_words = st.sampled_from(
    ["", " ", "  ", "\n", "\t", ":", ": ", "- ", "-", "[", "]", "{", "}", "&a ", "*a",
     "!!python/object:os.x ",
     "<<: ", "|", ">", "'", '"', "#", "%", "---\n", "...\n", "null", "~", "yes", "1e999", ".nan", ".inf",
     "-1", "0x10",
     "10s", "${", "}", "${random", "name", "roles", "phases", "steps", "users", "\ufeff", "\0", "\u202e",
     "\x85",
     "9" * 400, "[" * 300]
)  # fmt: skip


def _damage(text: str, damages: list[tuple[int, int, str]]) -> str:
    for at, length, piece in damages:
        place = at % (len(text) + 1)
        text = text[:place] + piece + text[place + length :]
    return text


_damages = st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 12), _words), min_size=1, max_size=4)
damaged = st.builds(_damage, st.sampled_from(BUNDLED), _damages)
gibberish = st.lists(_words | st.text(max_size=10), max_size=30).map("".join)
slow = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def check_any(errors: ScenarioError) -> None:
    assert errors.diagnostics


def check(errors: ScenarioError) -> None:
    check_any(errors)
    for line in errors.lines():
        assert line.isprintable(), "safe for a terminal"


@slow
@given(damaged | gibberish)
def test_text(text: str) -> None:
    try:
        scenario = parse_scenario(text, "fuzz.yaml")
    except ScenarioError as errors:
        check(errors)
    else:
        assert isinstance(scenario, Scenario)


@settings(slow, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.binary(max_size=200) | damaged.map(lambda text: text.encode("utf-16")))
def test_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzz.yaml"
    path.write_bytes(content)
    try:
        load_scenario(str(path))
    except ScenarioError as errors:
        check(errors)


@slow
@given(
    st.lists(st.builds("{}={}".format, st.text(max_size=12) | _words, gibberish) | gibberish, max_size=3),
    st.lists(gibberish, max_size=2),
)
def test_overrides_and_thresholds(overrides: list[str], thresholds: list[str]) -> None:
    try:
        load_scenario("smoke", overrides=overrides, thresholds=thresholds)
    except ScenarioError as errors:
        check_any(errors)
