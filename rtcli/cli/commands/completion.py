"""`rtcli completion`: print the script that lets a shell complete our commands and options.

It is printed, not installed: rtcli does not change the start-up files of a user.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from rtcli.cli import options
from rtcli.terminal.console import console

app = options.new_app()


class Shell(StrEnum):
    """Shells that have a completion script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


# Each calls rtcli with the variable that Typer reads (`rtcli.cli.app.COMPLETION_VARIABLE`).
_SCRIPTS = {
    Shell.BASH: """\
_rtcli_completion() {
    local IFS=$'\\n'
    local words="${COMP_WORDS[*]}"
    COMPREPLY=($(COMP_WORDS="$words" COMP_CWORD=$COMP_CWORD _RTCLI_COMPLETE=complete_bash rtcli 2>/dev/null))
}
complete -o default -F _rtcli_completion rtcli""",
    Shell.ZSH: """\
#compdef rtcli
_rtcli_completion() {
    eval "$(_TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _RTCLI_COMPLETE=complete_zsh rtcli 2>/dev/null)"
}
compdef _rtcli_completion rtcli""",
    Shell.FISH: """\
function _rtcli_completion
    set -lx _RTCLI_COMPLETE complete_fish
    set -lx _TYPER_COMPLETE_FISH_ACTION $argv[1]
    set -lx _TYPER_COMPLETE_ARGS (commandline -cp)
    rtcli 2>/dev/null
end
complete -c rtcli -f -n '_rtcli_completion is-args' -a '(_rtcli_completion get-args)'""",
}


@app.command(
    epilog=options.examples(
        "rtcli completion bash > ~/.local/share/bash-completion/completions/rtcli",
        "rtcli completion zsh > ~/.zfunc/_rtcli      (a directory in fpath)",
        "rtcli completion fish > ~/.config/fish/completions/rtcli.fish",
    )
)
def completion(shell: Annotated[Shell, typer.Argument(help="The shell.")]) -> int:
    """Print the completion script of a shell; the examples show where to put it."""
    console.write_line(_SCRIPTS[shell])
    return 0
