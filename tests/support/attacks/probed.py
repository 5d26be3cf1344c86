"""`rtcli` with a probe in its event loop: python -m tests.support.attacks.probed FILE RTCLI serve ..."""

from __future__ import annotations

import sys
from pathlib import Path

from rtcli.cli.app import main as rtcli
from tests.support.attacks.probe import put_probe_into_loops


def main() -> int:
    """Run the command that the arguments say, as it is."""
    file, command, *arguments = sys.argv[1:]
    sys.argv[0] = command
    put_probe_into_loops(Path(file))
    return rtcli(arguments)


if __name__ == "__main__":
    sys.exit(main())
