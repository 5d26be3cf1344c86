"""The readers of HTTP and of WebSocket frames, and what a coverage-guided fuzzer finds.

`corpus/` is what reaches different code. An input that makes a reader fail belongs there, with its mending:
`python -m tests.support.fuzz.run READER FILE` repeats it.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.fuzz.readers import READERS
from tests.support.paths import ROOT
from tests.support.processes.lifetime import DIES_WITH_US

CORPUS = ROOT / "tests" / "fuzz" / "corpus"
FOLDERS = {"http": CORPUS / "http", "picows": CORPUS / "frames", "portable": CORPUS / "frames"}
SOAK_S = 1_800
EVERY_DAY, EVERY_DAY_RUNS = ["http"], 200


@pytest.mark.parametrize("reader", FOLDERS)
def test_what_was_found_before(reader: str) -> None:
    inputs = sorted(FOLDERS[reader].iterdir())
    assert len(inputs) > 20
    with contextlib.closing(READERS[reader]()) as read:
        for file in inputs:
            try:
                read(file.read_bytes())
            except Exception as error:
                error.add_note(f"the input is {file.relative_to(ROOT)}")
                raise


@pytest.mark.timeout(SOAK_S + 300)
@pytest.mark.parametrize("fuzzer", ["atheris"] if find_spec("atheris") else [])
def test_nothing_else_is_found(fuzzer: str, soak: bool, tmp_path: Path) -> None:
    """Each corpus grows in a copy; `-merge=1` takes what is worth keeping into the repository."""
    how_long = f"-max_total_time={SOAK_S}" if soak else f"-runs={EVERY_DAY_RUNS}"
    running: dict[str, subprocess.Popen[bytes]] = {}
    for reader in FOLDERS if soak else EVERY_DAY:
        (tmp_path / reader).mkdir()
        command = [sys.executable, "-m", "tests.support.fuzz.run", reader, str(tmp_path / reader)]
        command += [str(FOLDERS[reader]), how_long, f"-artifact_prefix={tmp_path}/{reader}-", "-timeout=20"]
        with (tmp_path / f"{reader}.log").open("wb") as said:
            running[reader] = subprocess.Popen([*DIES_WITH_US, *command], cwd=ROOT, stderr=said)
    for reader, process in running.items():
        code = process.wait()
        text = (tmp_path / f"{reader}.log").read_text(errors="replace")
        assert code == 0, text[-6_000:]
        assert re.search(r"cov: [1-9]\d\d", text), f"{fuzzer} has not instrumented anything of ours"
