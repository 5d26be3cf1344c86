"""`python -m rtcli`: the same as the `rtcli` command."""

from __future__ import annotations

import sys
from pathlib import Path

# `-m` puts the current directory first on the path, where a file `server.py` or a folder `server/` would be
# taken for our package of that name. It stays only when it is where this package itself lies.
if Path(sys.path[0] or ".").resolve() != Path(__file__).resolve().parent.parent:
    del sys.path[0]

from rtcli.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
