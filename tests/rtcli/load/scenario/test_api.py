"""The names that adapters and scripts import from `rtcli.load.scenario`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rtcli.load import scenario
from rtcli.load.scenario import loader, model


def test_the_public_names_are_these() -> None:
    assert sorted(scenario.__all__) == ["Scenario", "ScenarioError", "Target", "load_scenario"]
    assert scenario.load_scenario is loader.load_scenario
    assert scenario.ScenarioError is loader.ScenarioError
    assert (scenario.Scenario, scenario.Target) == (model.Scenario, model.Target)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = scenario.nothing


def test_an_adapter_does_not_import_the_reader_of_files() -> None:
    script = (
        "import json, sys; from rtcli.load.scenario import Target; print(json.dumps(sorted(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert not {"yaml", "rtcli.load.scenario.loader"} & set(json.loads(result.stdout))
