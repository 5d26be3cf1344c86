"""Overrides and thresholds from the command line."""

from __future__ import annotations

import pytest

from rtcli.load.scenario.loader import (
    ScenarioError,
    parse_scenario,
)
from rtcli.load.scenario.model import Ramp
from tests.support.load.scenario_texts import EVENING, SMALL, mistakes


def test_values_can_be_changed_from_outside() -> None:
    scenario = parse_scenario(
        EVENING,
        overrides=["roles.reader.users=3", "phases.storm.for=1s", "phases.0.users=50%", "audit.settle=1s"],
    )
    assert scenario.roles["reader"].users == 3
    assert scenario.phases[3].duration == 1
    assert scenario.phases[0].users == Ramp(0.5, 0.5)
    assert scenario.audit.settle == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("roles.reader.usrs=3", "--set roles.reader.usrs: a role has no 'usrs'; did you mean 'users'?"),
        ("roles.reader.users=x", "--set roles.reader.users: users: expected a whole number, got 'x'"),
        (
            "phases.stom.for=1s",
            "--set phases.stom.for: there is no item 'stom' in a list of 5; did you mean 'storm'?",
        ),
        ("seed.x=1", "--set seed.x: 'x': there is a single value here, and nothing below it"),
        ("seed", "--set seed: write --set path=value, like --set roles.reader.users=50"),
        ("seed=!!python/object:os.system x", "--set seed: tags are not allowed"),
        ("seed=[", "--set seed: "),
    ],
)
def test_a_wrong_change_names_the_option(change: str, expected: str) -> None:
    assert any(line.startswith(expected) for line in mistakes(EVENING, overrides=[change]))


def test_thresholds_can_be_added_from_outside() -> None:
    scenario = parse_scenario(
        SMALL, thresholds=["lost: count == 0", "fanout_latency{role:reader} p(95) < 1s"]
    )
    assert [(spec.selector, spec.text) for spec in scenario.thresholds] == [
        ("lost", "count == 0"),
        ("fanout_latency{role:reader}", "p(95) < 1s"),
    ]
    assert mistakes(SMALL, thresholds=["lst: count == 0"])[0].startswith(
        "--threshold 'lst: count == 0': there is no"
    )


def test_whole_sections_can_be_changed_from_outside() -> None:
    changes = ["roles.reader={users: 2, flow: [connect, {join: b}, hold]}", "audit.settle=2s", "description="]
    with pytest.raises(ScenarioError, match="--set description: description: expected a text, got nothing"):
        parse_scenario(SMALL, overrides=changes)
    scenario = parse_scenario(SMALL, overrides=changes[:2])
    assert scenario.roles["reader"].users == 2
    assert scenario.audit.settle == 2
    last = parse_scenario(SMALL, overrides=["roles.reader.flow.1={join: c}", "phases=[{name: z, for: 2s}]"])
    assert last.phases[0].name == "z"


def test_mistakes_inside_a_replacement_name_the_option() -> None:
    found = mistakes(SMALL, overrides=["phases=[{name: z, fr: 2s}]", "a=1: 2: 3", "b=*x"])
    assert [line.partition(":")[0] for line in found] == ["--set a", "--set b", *["--set phases"] * 2]
