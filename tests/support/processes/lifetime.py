"""Processes live no longer than the tests that start them."""

from __future__ import annotations

import shutil

DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
