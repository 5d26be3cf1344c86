"""Processes live no longer than the tests that start them.

A test run that is killed tears nothing down: the system does it, where it can.
"""

from __future__ import annotations

import shutil

DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
