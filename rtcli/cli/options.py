"""What commands share: how an app is made, durations, and the options that mean the same everywhere.

    def publish(*, room: options.Rooms = None, console_options: options.ConsoleOptions) -> int: ...

Two bundles of options are elsewhere: `connection.ConnectionOptions` and `limits.EndOptions`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rtcli.units import parse_bytes, parse_duration


class ColorChoice(StrEnum):
    """When to use colours."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def duration(value: str | float) -> float:
    """`parse_duration` as a Typer parser: `typer.Option(parser=options.duration, metavar="DUR")`.

    Typer passes defaults too, which are seconds already.
    """
    if isinstance(value, float):
        return value
    try:
        return parse_duration(value.strip())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def size(value: str | int) -> int:
    """`parse_bytes` as a Typer parser, for whole bytes: `parser=options.size, metavar="SIZE"`."""
    try:
        return value if isinstance(value, int) else int(parse_bytes(value.strip()))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def duration_or_forever(value: str | float) -> float:
    """Like `duration`, but `forever` is infinity."""
    return math.inf if value == "forever" else duration(value)


def new_app() -> typer.Typer:
    """Make the Typer app of a command module: plain help, -h, no boxes, no completion installer."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def examples(*lines: str) -> str:
    r"""The epilog of a command's help, one example per line (`\b` keeps Typer from joining them)."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


TokenFile = Annotated[
    str | None,
    typer.Option(
        "--token-file",
        envvar="RTCLI_TOKEN_FILE",
        metavar="FILE",
        help="Read the token from FILE, or from stdin if it is '-'. Without it: RTCLI_TOKEN, "
        "or on this machine the development key.",
    ),
]
SecretFile = Annotated[
    Path | None,
    typer.Option("--secret-file", metavar="FILE", help="Sign a token with the secret in FILE."),
]
Rooms = Annotated[
    list[str] | None, typer.Option("--room", "-r", metavar="ROOM", help="A room; may be given several times.")
]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON object a line on stdout; errors as one JSON line on stderr.")
]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="Say more on stderr; tracebacks for bugs.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No status lines on stderr.")]
ColorWhen = Annotated[ColorChoice, typer.Option("--color", help="When to colour.")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", parser=duration, metavar="DUR", help="End with 5 if it is not done by then."),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", "-k", help="Do not check the server's certificate. Says so each time.")
]


@dataclass(frozen=True)
class ConsoleOptions:
    """What the console writes and how. `app` sets all of them on the console before a command is called."""

    json: Json = False
    color: ColorWhen = ColorChoice.AUTO
    quiet: Quiet = False
    verbose: Verbose = 0
