"""What commands share: how an app is made, durations, and the options that mean the same everywhere.

def tail_events(room: options.Rooms = None, url: options.Url = options.DEFAULT_URL, ...) -> int: ...
"""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rtcli.units import parse_duration

DEFAULT_URL = "http://127.0.0.1:8000"


class ColorChoice(StrEnum):
    """When to colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def duration(value: str | float) -> float:
    """`parse_duration` as a Typer parser: `typer.Option(parser=options.duration, metavar="DUR")`.

    Typer hands defaults over as well: those are seconds already.
    """
    if isinstance(value, float):
        return value
    try:
        return parse_duration(value.strip())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def duration_or_forever(value: str | float) -> float:
    """The same, and `forever` is infinite."""
    return math.inf if value == "forever" else duration(value)


def new_app() -> typer.Typer:
    """A Typer app as every command module makes one: plain help, -h, no boxes, no completion installer."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def examples(*lines: str) -> str:
    r"""The epilog of a command's help: each line stands by itself (`\b` keeps Typer from joining them)."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


Url = Annotated[
    str,
    typer.Option(
        "--url",
        "-u",
        envvar="RTCLI_URL",
        metavar="URL",
        help="The server: http(s)://, ws(s):// or host:port.",
    ),
]
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
AsName = Annotated[
    str | None, typer.Option("--as", metavar="NAME", help="Name to go by, when rtcli signs the token itself.")
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
Wait = Annotated[
    float | None,
    typer.Option(
        "--wait", parser=duration, metavar="DUR", help="Keep trying the first connection for that long."
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", parser=duration, metavar="DUR", help="End with 5 if it is not done by then."),
]
Duration = Annotated[
    float | None,
    typer.Option("--duration", parser=duration, metavar="DUR", help="End with 0 after that time."),
]
Count = Annotated[int | None, typer.Option("--count", "-n", min=0, metavar="N", help="End with 0 after N.")]
Headers = Annotated[
    list[str] | None,
    typer.Option("--header", "-H", metavar="'K: V'", help="Extra request header, or @FILE with one a line."),
]
CaCert = Annotated[
    Path | None, typer.Option("--cacert", metavar="FILE", help="Trust the certificates in FILE (PEM).")
]
Cert = Annotated[Path | None, typer.Option("--cert", metavar="FILE", help="Client certificate (PEM).")]
Key = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="Key of the client certificate (PEM).")
]
Insecure = Annotated[
    bool, typer.Option("--insecure", "-k", help="Do not check the server's certificate. Says so each time.")
]
