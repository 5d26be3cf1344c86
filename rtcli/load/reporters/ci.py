"""What a CI system is told by itself when a run ends there: GitHub Actions' annotations and step summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rtcli.load.reporters import github, markdown
from rtcli.load.results.model import RunResult

_MAX_SUMMARY = 1_000_000  # GitHub refuses a step summary of more than 1 MiB


def announce(result: RunResult, env: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Say annotations and add to the step summary, when this is GitHub Actions; else do nothing.

    A summary that cannot be written is said, and is no reason to fail.
    """
    if env.get("GITHUB_ACTIONS") != "true":
        return
    annotations = github.render(result)
    if annotations:
        say(annotations.rstrip("\n"))
    target = env.get("GITHUB_STEP_SUMMARY")
    if not target:
        return
    try:
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(markdown.render(result)[:_MAX_SUMMARY])
    except OSError as error:
        say(f"the step summary cannot be written: {error.strerror}")
