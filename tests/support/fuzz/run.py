"""Look for inputs that reach new code.

    python -m tests.support.fuzz.run READER CORPUS [OPTION...]

atheris instruments our readers and the libraries below them that are Python. libFuzzer (the options
are its own) changes the inputs of the corpus, adds what reaches something new, and stops at one that fails.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore] # it has no types, and not everywhere wheels

MODULE = "tests.support.fuzz.run"
INSTRUMENTED = ["rtcli", "rtcli_server", "uvicorn.protocols", "websockets"]

with atheris.instrument_imports(include=INSTRUMENTED):
    from tests.support.fuzz.readers import READERS


def main() -> None:
    """Fuzz until libFuzzer ends the process, or merge corpora with `-merge=1`."""
    reader, *options = sys.argv[1:]
    program = _program(reader) if "-merge=1" in options else "fuzz"
    atheris.Setup([program, *options], READERS[reader]())
    atheris.Fuzz()


def _program(reader: str) -> str:
    """Make the program that libFuzzer starts again and again for a merge: it is this one."""
    program = Path(tempfile.mkdtemp()) / "fuzz"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {MODULE} {reader} "$@"\n')
    program.chmod(0o700)
    return str(program)


if __name__ == "__main__":
    main()
