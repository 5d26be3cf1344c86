"""Our router under plain uvicorn: python -m tests.support.attacks.embedded FILE RTCLI serve ...

It takes the place of `rtcli serve` with the options that tests give the command, and has the probe too.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from rtcli_server import Settings, realtime_router
from tests.support.attacks.probe import put_probe_into_loops

OPTIONS = ("--host", "--port", "--store", "--secret-file", "--rate-limit")


def main() -> None:
    """Run until a signal."""
    file, _command, _serve, *arguments = sys.argv[1:]
    put_probe_into_loops(Path(file))
    parser = argparse.ArgumentParser()
    for option in OPTIONS:
        parser.add_argument(option)
    given = parser.parse_args(arguments)
    settings = Settings.from_env(
        os.environ,
        store=given.store,
        secrets=(Path(given.secret_file).read_text(),),
        rate_limit_per_s=given.rate_limit,
    )
    app = FastAPI()
    app.include_router(realtime_router(settings))
    uvicorn.run(app, host=given.host, port=int(given.port), loop="uvloop", log_level="warning")


if __name__ == "__main__":
    main()
