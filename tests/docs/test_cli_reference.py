"""docs/cli-reference.md is the output of --help."""

from __future__ import annotations

import subprocess
import sys

from tests.support.paths import ROOT

SCRIPT = ROOT / "scripts" / "_cli_reference.py"


def test_the_page_is_current() -> None:
    checked = subprocess.run([sys.executable, SCRIPT, "--check"], check=False)
    assert checked.returncode == 0, "run: python scripts/_cli_reference.py"
