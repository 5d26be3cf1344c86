"""Whether coverage starts in the processes that a test starts."""

from __future__ import annotations

import os

VARIABLES = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_PROCESS_")}


def switch(*, on: bool) -> None:
    """Let it start there, if this session is measured at all, or not."""
    for name, value in VARIABLES.items():
        os.environ.pop(name, None)
        if on:
            os.environ[name] = value
