"""docs/metrics.md lists all metrics of the server, with its descriptions, and no others."""

from __future__ import annotations

from rtcli_server.metrics.registry import SPECS
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "metrics.md").read_text()


def test_the_table_is_what_the_server_has() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `rtcli_")]
    assert rows == [
        f"| `{spec.name}` | {spec.kind.value} | {f'`{spec.label}`' if spec.label else ''} | {spec.help} |"
        for spec in SPECS
    ]


def test_names_in_the_text_are_metrics() -> None:
    names = {spec.name for spec in SPECS}
    for word in PAGE.replace("{", " ").replace("`", " ").split():
        if word.startswith("rtcli_"):
            assert word.removesuffix("_total") in names
