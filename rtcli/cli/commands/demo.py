"""`rtcli demo`: all parts of rtcli on this machine, in a quarter of a minute."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from rtcli.apps.demo.script import Demo, default_directory
from rtcli.apps.demo.transcript import Transcript
from rtcli.cli import options, signals
from rtcli.errors import CliError
from rtcli.terminal.console import console

app = options.new_app()


@app.command(epilog=options.examples("rtcli demo", "rtcli demo --out results"))
def demo(
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write the load test's results there.")
    ] = None,
    color: options.ColorWhen = options.ColorChoice.AUTO,  # noqa: ARG001 - the console has it
    quiet: options.Quiet = False,  # noqa: ARG001 - the console has it
    verbose: options.Verbose = 0,  # noqa: ARG001 - the console has it
) -> int:
    """Show it all: a server, two people, a tail, a lost connection, and a short load test with its audit."""
    directory = default_directory() if out is None else out
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CliError(f"--out {directory}: {error.strerror or error}", hint="give a directory") from None
    try:
        return signals.run(Demo(Transcript(console), console.env, directory).run())
    finally:
        if out is None:
            with contextlib.suppress(OSError):  # it is not empty: there are results
                directory.rmdir()
