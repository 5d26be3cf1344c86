from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.commands import Command, ServerCommand

Run = Callable[..., Command]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerCommand]:
    """A running server with the development key of a home directory of its own."""
    own = ServerCommand(tmp_path)
    own.start()
    yield own
    own.kill()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start commands that are ended with the test."""
    commands: list[Command] = []

    def begin(*arguments: str, env: dict[str, str] | None = None, ignore_sigint: bool = False) -> Command:
        commands.append(Command(*arguments, home=tmp_path, env=env, ignore_sigint=ignore_sigint))
        return commands[-1]

    yield begin
    for command in commands:
        command.kill()
