"""`python -m rtcli`: the same as the `rtcli` command."""

from __future__ import annotations

import sys

from rtcli.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
