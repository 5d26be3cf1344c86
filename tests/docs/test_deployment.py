"""docs/deployment.md names existing settings with their defaults."""

from __future__ import annotations

import re

import pytest

from rtcli_server.settings import ENV_PREFIX, Settings
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "deployment.md").read_text()
ROWS = re.findall(rf"^\| `{ENV_PREFIX}(\w+)` \|(.*?)\|", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("name", "shown"), ROWS, ids=[name for name, _ in ROWS])
def test_the_table_has_the_defaults(name: str, shown: str) -> None:
    default = Settings.model_fields[name.lower()].default
    written = "" if default == () else f"`{'off' if default is None else default}`"
    assert shown.strip() == written


def test_there_is_a_table_and_every_variable_is_a_setting() -> None:
    assert len(ROWS) > 10
    for name in re.findall(rf"`{ENV_PREFIX}(\w+)", PAGE):
        assert name.lower() in Settings.model_fields
