"""A scenario: what the users of a load test do, as values, and how a YAML file becomes one.

From outside: the names below, which are imported when they are first used since reading YAML takes its time
to import; `model`, `steps`, `expressions` and `distributions` are the values, `protocols` what they can
name. The command line also imports `loader` for the bundled scenarios, and `grammar` for the JSON schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtcli.load.scenario.loader import ScenarioError, load_scenario
    from rtcli.load.scenario.model import Scenario, Target

__all__ = ["Scenario", "ScenarioError", "Target", "load_scenario"]


def __getattr__(name: str) -> object:
    if name in {"Scenario", "Target"}:
        from rtcli.load.scenario import model  # noqa: PLC0415 - see above

        return getattr(model, name)
    if name in {"ScenarioError", "load_scenario"}:
        from rtcli.load.scenario import loader  # noqa: PLC0415 - see above

        return getattr(loader, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
