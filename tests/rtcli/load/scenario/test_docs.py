"""docs/scenarios.md: its examples load, and it names everything in the language."""

from __future__ import annotations

import re

import pytest

from rtcli.load.metrics.names import METRICS
from rtcli.load.results.kinds import KINDS
from rtcli.load.scenario.expressions import BUILTINS, FUNCTIONS
from rtcli.load.scenario.grammar.data import FEEDER
from rtcli.load.scenario.grammar.document import AUDIT, SCENARIO
from rtcli.load.scenario.grammar.roles import ROLE
from rtcli.load.scenario.grammar.sections import ByShape, Section
from rtcli.load.scenario.grammar.steps import FORMS
from rtcli.load.scenario.grammar.target import TARGET
from rtcli.load.scenario.loader import parse_scenario
from rtcli.load.scenario.protocols import BUILT_IN
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "scenarios.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
def test_every_example_is_a_scenario(block: str) -> None:
    assert parse_scenario(block).roles


@pytest.mark.parametrize("section", [SCENARIO, ROLE, FEEDER, AUDIT, TARGET])
def test_every_key_of_a_section_is_described(section: Section) -> None:
    assert [key for key in section.fields if f"`{key}" not in TEXT and f"## {key}" not in TEXT] == []


def test_every_step_and_each_of_its_keys_is_described() -> None:
    for name, form in FORMS.items():
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |"))
        section = form.type.mapping if isinstance(form.type, ByShape) else None
        keys = section.fields if isinstance(section, Section) else {}
        assert [key for key in keys if f"`{key}`" not in row] == []


def test_names_functions_and_verdicts_are_described() -> None:
    assert [name for name in BUILTINS if f"${{{name}" not in TEXT] == []
    assert [name for name in FUNCTIONS if f"`{name}(" not in TEXT] == []
    assert [name for name in (*KINDS, *BUILT_IN) if f"`{name}`" not in TEXT] == []


def test_the_table_of_violations_is_that_of_the_code() -> None:
    rows = [
        f"| `{kind.name}` | {kind.sentence} | {', '.join(f'`{rule}`' for rule in kind.rules)} |"
        for kind in KINDS.values()
    ]
    written = TEXT.partition("<!-- violations -->\n")[2].partition("<!-- /violations -->")[0]
    assert [line for line in written.splitlines() if line.startswith("| `")] == rows
    keys = {*SCENARIO.fields, *ROLE.fields, *(f"audit.{key}" for key in AUDIT.fields)}
    assert {rule for kind in KINDS.values() for rule in kind.rules} <= keys


def test_the_table_of_metrics_is_the_registry() -> None:
    rows = [f"| `{metric.name}` | {metric.kind} | {metric.help} |" for metric in METRICS.values()]
    written = TEXT.partition("<!-- metrics -->\n")[2].partition("<!-- /metrics -->")[0]
    assert [line for line in written.splitlines() if line.startswith("| `")] == rows
