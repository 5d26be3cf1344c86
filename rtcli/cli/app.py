"""The `rtcli` command: lists the commands, runs one, and turns its end into an exit code.

Commands are imported only when they run, so that `rtcli --version` and `rtcli --help` are fast. To add one:

1. Write `rtcli/cli/commands/NAME.py` (a dash in the name is an underscore there) with a Typer app `app`:

       from rtcli.cli import options, signals
       app = options.new_app()

       @app.command(epilog=options.examples("rtcli publish general 'hello'"))
       def publish(room: str, json: options.Json = False) -> int:
           '''Publish messages and events.'''
           return signals.run(_publish(...))          # for a coroutine: signals, closed stdout

   One `@app.command()` makes `rtcli NAME`; several make `rtcli NAME SUBCOMMAND`.
2. Add a line to `COMMANDS` below.

The function returns its exit code (None is 0) or raises `CliError`. It never calls `sys.exit` and prints only
through `rtcli.terminal.console`. The console knows `--json`, `-v`, `-q` and `--color` before it is called.
"""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from rtcli._version import __version__
from rtcli.cli import options, signals
from rtcli.cli.suggestions import command_for, for_extra, spelled_out
from rtcli.errors import CliError, Exit, RtcliError
from rtcli.terminal.console import StdoutClosedError, console

COMMANDS: dict[str, str] = {
    "serve": "Run the realtime server.",
    "chat": "Talk in rooms, on a terminal or through a pipe.",
    "tail-events": "Follow the event stream of rooms, or any SSE endpoint.",
    "publish": "Publish messages and events.",
    "ws": "Talk with any WebSocket server, by hand or in a pipe.",
    "rooms": "List the rooms that have members.",
    "members": "List who is in a room.",
    "history": "Print what was said in a room.",
    "loadtest": "Replay many users and account for everything.",
    "report": "Show and compare the results of load tests.",
    "scenario": "List, show and validate load test scenarios.",
    "token": "Create and inspect tokens, and make keys.",
    "revoke": "End a token, or all that a user got before a time.",
    "kick": "Close everything that a user has open.",
    "context": "Name deployments, and say which one is used.",
    "demo": "Show it all: server, chat, tail and a short load test.",
    "completion": "Print the completion script of a shell.",
}
# Their modules are in `commands/api/`.
ASK_THE_API = frozenset({"rooms", "members", "history", "revoke", "kick"})

_EXTRA = re.compile(r"Got unexpected extra argument(?:s|\(s\))? \((.+)\)")
COMPLETION_VARIABLE = "_RTCLI_COMPLETE"  # how a shell asks for completions (`rtcli completion`)


def _module_of(command: str) -> str:
    folder = "api." if command in ASK_THE_API else ""
    return f"rtcli.cli.commands.{folder}{command.replace('-', '_')}"


class _LazyCommand(TyperCommand):
    """A command in help and completion; imports the real one when it is run."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:  # noqa: ANN401 - Click's interface
        module = importlib.import_module(_module_of(str(self.name)))
        command = typer.main.get_command(module.app)
        console.command = str(self.name)
        if isinstance(command, TyperGroup) and not args:
            args = ["--help"]  # as `rtcli` alone does
        return command.make_context(info_name, args, parent, **extra)


class _LazyGroup(TyperGroup):
    """The top of the command line, with all of `COMMANDS`."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - Click's interface
        super().__init__(**attributes)
        self.commands = {name: _LazyCommand(name, help=text) for name, text in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - Click's interface
        """Find a command. Raises CliError (2) for one that has another name here."""
        meant = None if args[0] in self.commands else command_for(args[0], self.commands)
        if meant is not None:
            raise CliError(f"no such command {args[0]!r}", hint=f"did you mean: rtcli {meant}")
        return super().resolve_command(ctx, args)


app = options.new_app()


def _show_version(value: bool) -> None:
    if value:
        if console.json:
            console.write_json({"type": "version", "version": __version__})
        else:
            console.write_line(f"rtcli {__version__}")
        raise typer.Exit


@app.callback(
    cls=_LazyGroup,
    invoke_without_command=True,
    epilog=options.examples(
        "rtcli demo                          see it work",
        "rtcli serve                         then, in other terminals:",
        "rtcli chat --room general",
        "rtcli tail-events --room general",
        "rtcli loadtest smoke --serve",
        "rtcli help chat                     what a command can do",
    ),
)
def _root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - eager, acts in its callback
        bool,
        typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", hidden=True)] = False,  # noqa: ARG001 - see _read_ahead
) -> None:
    """Realtime over WebSocket and SSE from the command line: a server, a chat, a tail and a load tester."""
    if context.invoked_subcommand is None:
        console.write_line(context.get_help())


def _read_ahead(arguments: Sequence[str]) -> None:
    """Set on the console what it must know even if the arguments are wrong."""
    own = list(arguments)
    own = own[: own.index("--")] if "--" in own else own
    color = options.ColorChoice(console.color)
    for argument, following in pairwise([*own, ""]):
        value = following if argument == "--color" else argument.removeprefix("--color=")
        if argument.startswith("--color") and value in set(options.ColorChoice):
            color = options.ColorChoice(value)
    console.configure(
        json="--json" in own,
        verbose=sum(
            argument.count("v")
            for argument in own
            if argument == "--verbose" or (argument[:1] == "-" and set(argument[1:]) == {"v"})
        ),
        quiet="--quiet" in own or "-q" in own,
        color=color,
    )


def _usage_error(error: typer.TyperException) -> CliError:
    """Typer's error as a CliError: one line, and a hint at the help of the command."""
    message = " ".join(error.format_message().split()).rstrip(".")
    path = getattr(getattr(error, "ctx", None), "command_path", f"rtcli {console.command}".rstrip())
    extra = _EXTRA.fullmatch(message)
    meant = for_extra(path, extra[1]) if extra is not None else ""
    hint = f"did you mean: {meant}" if meant else f"see: {path} -h"
    return CliError(message[:1].lower() + message[1:], hint=hint, exit_code=Exit.USAGE)


def _bug(error: Exception) -> int:
    if console.verbose:
        console.info(traceback.format_exc().rstrip())
    text = f"{type(error).__name__}: {error}"
    console.error(
        CliError(
            f"this is a bug in rtcli: {text}",
            hint="please report it, with the output of the same command and -v",
            exit_code=Exit.BUG,
        )
    )
    return Exit.BUG


def _invoke(arguments: Sequence[str]) -> int:
    if console.env.get(COMPLETION_VARIABLE):
        from typer.completion import get_completion_inspect_parameters  # noqa: PLC0415 - only for a shell

        get_completion_inspect_parameters()  # called for its effect: it registers the shells
    try:
        result = app(spelled_out(arguments), prog_name="rtcli", standalone_mode=False)
    except RtcliError as error:
        # What the library raises is meant for programs; its cause names options of the command line.
        console.error(error.__cause__ if isinstance(error.__cause__, CliError) else error)
        return error.exit_code
    except typer.TyperException as error:
        console.error(_usage_error(error))
        return error.exit_code
    except StdoutClosedError:
        return Exit.OK
    except SystemExit as error:
        # Typer wrote help into a closed pipe, or it answered a shell's request for completions.
        return Exit.OK if isinstance(error.__context__, BrokenPipeError) else int(error.code or 0)
    except Exception as error:  # noqa: BLE001 - the last resort: people get no traceback
        return _bug(error)
    return int(result or 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `rtcli` with `arguments` (default: those of the process); returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        signals.install()
        _read_ahead(arguments)
        return _invoke(arguments)
    except (KeyboardInterrupt, typer.Abort):
        return Exit.SIGINT
    except signals.TerminatedError:
        return Exit.SIGTERM
    finally:
        console.close()
