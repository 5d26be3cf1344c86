"""Whatever is silenced in the sources says why, beside it."""

from __future__ import annotations

import re
import subprocess

from tests.support.paths import ROOT

SILENCED = re.compile(r"#\s*(?:noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\])(?P<reason>.*)$")
OLD_STYLE = re.compile(r"#\s*noqa\s*$|#\s*type: ignore\s*$")


def test_each_silenced_rule_has_its_reason() -> None:
    files = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    bare = []
    for name in files:
        if name.startswith("tests/"):
            continue  # a test's name and its assertion say what is tried
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
            found = SILENCED.search(line)
            if (found and not re.search(r"[a-z]{3}", found["reason"])) or OLD_STYLE.search(line):
                bare.append(f"{name}:{number}")
    assert bare == []
